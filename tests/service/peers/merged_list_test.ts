import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { currentCertificates, mergeLists } from "../../../src/service/peers/merged_list.ts";
import {
  type CertificateInfo,
  CertificateInfoSchema,
  CertificateState,
} from "../../../src/shared/gen/certificate_service_pb.ts";

interface Given {
  readonly serialNumber: string;
  readonly pod?: string;
  readonly volumeId?: string;
  readonly at?: number;
  readonly reported?: boolean;
  readonly node?: string;
  readonly predecessor?: string;
  readonly state?: CertificateState;
  readonly nodeSilent?: boolean;
}

function certificate({ serialNumber, pod = "web", volumeId = "csi-1", at = 0, ...rest }: Given) {
  return create(CertificateInfoSchema, {
    serialNumber,
    pod: { namespace: "shop", name: pod, uid: `uid-${pod}`, serviceAccount: "default" },
    volumeId,
    notBefore: { seconds: BigInt(at) },
    reported: rest.reported ?? false,
    node: rest.node ?? "node-1",
    predecessorSerialNumber: rest.predecessor ?? "",
    state: rest.state ?? CertificateState.CURRENT,
    nodeSilent: rest.nodeSilent ?? false,
  });
}

async function* pages(all: readonly CertificateInfo[], size: number) {
  for (let at = 0; at < all.length; at += size) {
    yield await Promise.resolve(all.slice(at, at + size));
  }
}

const serials = (list: readonly CertificateInfo[]) => list.map(({ serialNumber }) => serialNumber);

for (
  const [what, given, expected] of [
    ["a renewal at another replica replaces the certificate", [
      { serialNumber: "1", at: 1 },
      { serialNumber: "2", at: 2 },
    ], ["2"]],
    ["a renewal within the same second does so too", [
      { serialNumber: "1" },
      { serialNumber: "2", predecessor: "1" },
    ], ["2"]],
    ["a certificate that one replica issued and another has from a report is listed once", [
      { serialNumber: "1", reported: true },
      { serialNumber: "1" },
    ], ["1"]],
    ["a certificate that two replicas have from reports is listed once", [
      { serialNumber: "1", reported: true },
      { serialNumber: "1", reported: true },
    ], ["1"]],
    ["a report replaces what the same node had", [
      { serialNumber: "1", at: 1 },
      { serialNumber: "2", at: 2, reported: true },
    ], ["2"]],
    ["a report of another node replaces nothing", [
      { serialNumber: "1", at: 1 },
      { serialNumber: "2", at: 2, reported: true, node: "node-2" },
    ], ["1", "2"]],
    ["certificates of other volumes of the pod stay", [
      { serialNumber: "1" },
      { serialNumber: "2", at: 9, volumeId: "csi-2" },
    ], ["1", "2"]],
  ] as [string, Given[], string[]][]
) {
  Deno.test(what, () => {
    assert.deepEqual(serials(currentCertificates(given.map(certificate))), expected);
    const reversed = currentCertificates(given.toReversed().map(certificate));
    assert.deepEqual(serials(reversed), expected.toReversed());
  });
}

Deno.test("of an issued certificate and its report, the issued one is listed", () => {
  const [report, issued] = [true, false].map((reported) =>
    certificate({ serialNumber: "1", reported })
  );
  for (const ofPod of [[report!, issued!], [issued!, report!]]) {
    assert.deepEqual(currentCertificates(ofPod).map(({ reported }) => reported), [false]);
  }
});

Deno.test("whatever pages the replicas have, the merged list has each current certificate once, in order", async () => {
  const given = fc.record({
    pod: fc.constantFrom("a", "b", "b-1", "c", "d"),
    volumeId: fc.constantFrom("csi-1", "csi-2"),
    at: fc.nat(5),
    reported: fc.boolean(),
    node: fc.constantFrom("node-1", "node-2"),
    replica: fc.nat(2),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(given), fc.integer({ min: 1, max: 4 }), async (all, size) => {
      const sorted = all.map(({ replica, ...one }, n) => ({
        replica,
        info: certificate({ ...one, serialNumber: String(n) }),
      })).toSorted((a, b) =>
        a.info.pod!.name < b.info.pod!.name ? -1 : a.info.pod!.name > b.info.pod!.name ? 1 : 0
      );
      const sources = [0, 1, 2].map((n) =>
        pages(sorted.filter(({ replica }) => replica === n).map(({ info }) => info), size)
      );
      const merged = (await Array.fromAsync(mergeLists(sources))).flat();
      const pods = merged.map(({ pod }) => pod!.name);
      assert.deepEqual(pods, pods.toSorted());
      const expected = Map.groupBy(sorted.map(({ info }) => info), ({ pod }) => pod!.name)
        .values().flatMap((ofPod) => serials(currentCertificates(ofPod)));
      assert.deepEqual(serials(merged).toSorted(), [...expected].toSorted());
    }),
  );
});

Deno.test("sources are read no further than the page that is asked for, and ended with it", async () => {
  let read = 0;
  let ended = 0;
  const source = async function* () {
    try {
      for (;; read++) {
        yield await Promise.resolve([
          certificate({ serialNumber: `${read}`, pod: `p${read}`.padStart(9, "0") }),
        ]);
      }
    } finally {
      ended++;
    }
  };
  const merged = mergeLists([source(), source()]);
  const { value } = await merged.next();
  assert.ok(value !== undefined && value.length >= 100);
  assert.ok(read < 500, `${read}`);
  await merged.return();
  assert.equal(ended, 2);
});

Deno.test("no page has more than 100 certificates, however many a pod has at each replica", async () => {
  const ofReplica = (replica: number) =>
    Array.from({ length: 150 }, (_, n) =>
      certificate({
        serialNumber: `${replica}${n}`,
        volumeId: `csi-${replica}-${n}`,
        pod: n < 60 ? "api" : "web",
      }));
  const merged = mergeLists([0, 1, 2].map((replica) => pages(ofReplica(replica), 100)));
  const sizes = (await Array.fromAsync(merged)).map(({ length }) => length);
  assert.deepEqual(sizes, [100, 100, 100, 100, 50]);
});

Deno.test("of what replicas know of one certificate, the reports of its node decide", () => {
  const { CURRENT, OVERDUE, RELEASED } = CertificateState;
  const known = (given: Partial<Given>) => certificate({ serialNumber: "a1", ...given });
  const released = known({ state: RELEASED, reported: true });
  // The replica to which the node reported before calls it overdue on a silent node.
  const former = known({ state: OVERDUE, nodeSilent: true });
  const unaware = known({ state: CURRENT });
  // Another node's words about the certificate.
  const hostile = known({ state: RELEASED, node: "node-2", reported: true });
  for (
    const [name, all, expected] of [
      ["a released volume", [former, unaware, released], released],
      ["a node that reports to another replica", [former, unaware], unaware],
      ["another node", [hostile, unaware], unaware],
    ] as const
  ) {
    for (const order of [all, all.toReversed()]) {
      assert.deepEqual(currentCertificates(order), [expected], name);
    }
  }
});
