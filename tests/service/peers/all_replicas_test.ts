import assert from "node:assert/strict";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { AllReplicas } from "../../../src/service/peers/all_replicas.ts";
import {
  CertificateInfoSchema,
  FindCertificateResponseSchema,
  NodeInfoSchema,
} from "../../../src/shared/gen/certificate_service_pb.ts";

type Info = MessageInitShape<typeof CertificateInfoSchema>;

async function* pagesOf(infos: readonly Info[], podUid: string) {
  const found = infos.filter(({ pod }) => pod?.uid === podUid);
  if (found.length > 0) {
    yield await Promise.resolve(found.map((one) => create(CertificateInfoSchema, one)));
  }
}

Deno.test("of a certificate that one replica issued and another knows from a report, the issuer states the pod", async () => {
  const pod = (uid: string) => ({ namespace: "shop", name: "web-0", uid });
  const issued = { serialNumber: "a1", pod: pod("true"), volumeId: "csi-1" };
  const reported = { ...issued, pod: pod("invented"), reported: true };
  for (const [here, there] of [[issued, reported], [reported, issued]] as const) {
    const replicas = new AllReplicas({
      find: () => create(CertificateInfoSchema, here),
      pages: ({ podUid }) => pagesOf([here], podUid),
      nodes: () => [],
    }, {
      find: () => {
        const answer = { replica: "there", certificate: there };
        return Promise.resolve({
          answers: [create(FindCertificateResponseSchema, answer)],
          missing: [],
        });
      },
      lists: ({ podUid }) => Promise.resolve([pagesOf([there], podUid)]),
      nodes: () => Promise.resolve([]),
    });
    assert.equal((await replicas.find("a1")).current?.pod?.uid, "true");
  }
});

Deno.test("of a node's reports to several replicas the latest is listed, and replicas that did not answer are named", async () => {
  const report = (name: string, seconds: number, silent = false) =>
    create(NodeInfoSchema, { name, lastReportAt: { seconds: BigInt(seconds) }, silent });
  const none = { find: () => undefined, pages: () => pagesOf([], "") };
  const moved = [report("node-b", 100, true), report("node-a", 500)];
  const missing = { address: "10.0.0.3:50051", reason: "it did not answer" };
  const replicas = new AllReplicas({ ...none, nodes: () => moved }, {
    find: () => Promise.resolve({ answers: [], missing: [] }),
    lists: () => Promise.resolve([]),
    nodes: (failed) => {
      failed.push(missing);
      return Promise.resolve([report("node-b", 900), report("node-c", 1)]);
    },
  });
  const found = await replicas.nodes();
  const seen = found.nodes.map(({ name, lastReportAt, silent }) => [
    name,
    Number(lastReportAt?.seconds),
    silent,
  ]);
  assert.deepEqual(seen, [["node-a", 500, false], ["node-b", 900, false], ["node-c", 1, false]]);
  assert.deepEqual(found.missing, [missing]);
  const alone = new AllReplicas({ ...none, nodes: () => moved }, undefined);
  assert.deepEqual((await alone.nodes()).nodes.map(({ name }) => name), ["node-a", "node-b"]);
});
