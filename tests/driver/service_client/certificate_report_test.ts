import assert from "node:assert/strict";
import {
  type MountedCertificate,
  reportCertificates,
  reportUntilReceived,
} from "../../../src/driver/service_client/certificate_report.ts";
import type { CertificateService } from "../../../src/shared/gen/certificate_service_pb.ts";
import type { CallOptions, Client } from "../../../src/shared/grpc_client/client.ts";

/** A report of so many certificates of this size: what each call of the service contains. */
async function callsOfReport(count: number, bytes: number) {
  const calls: { readonly sizes: readonly number[]; readonly options: CallOptions }[] = [];
  const client = {
    reportCertificates(message: { certificates: MountedCertificate[] }, options: CallOptions) {
      const sizes = message.certificates.map(({ certificate }) => certificate.length);
      calls.push({ sizes, options });
      return Promise.resolve({ accepted: sizes.length, refused: 0 });
    },
  } as unknown as Client<typeof CertificateService>;
  const pod = { namespace: "shop", name: "web-0", uid: "u", serviceAccount: "web" };
  const mounted = Array.from({ length: count }, (_, n) => (
    { certificate: new Uint8Array(bytes), pod, volumeId: `csi-${n}` }
  ));
  await reportCertificates(client, mounted, new AbortController().signal);
  return calls;
}

Deno.test("a report has at most 100 certificates and 256 KiB in a call, and leaves none out", async () => {
  for (
    const [count, bytes, expected] of [
      [0, 700, []],
      [100, 100, [100]],
      [100, 700, [83, 17]],
      [250, 100, [100, 100, 50]],
      [5, 100 * 1024, [2, 2, 1]],
      [2, 230 * 1024, [1, 1]],
    ] as const
  ) {
    const sizes = (await callsOfReport(count, bytes)).map((call) => call.sizes.length);
    assert.deepEqual(sizes, expected, `${count} of ${bytes} bytes`);
  }
});

Deno.test("each call of a report has a deadline, for a service that hangs", async () => {
  const calls = await callsOfReport(150, 700);
  assert.deepEqual(calls.map(({ options }) => options.timeoutMs), [60_000, 60_000]);
});

/** A service that refuses parts of a report as `refuses` says, and a driver that reports three parts to it. */
function refusedReport(refuses: (call: number) => boolean) {
  const received: string[] = [];
  const waits: number[] = [];
  const stop = new AbortController();
  let calls = 0;
  const client = {
    reportCertificates({ certificates }: { certificates: MountedCertificate[] }) {
      if (refuses(++calls)) return Promise.reject(new Error("the request is too long"));
      received.push(...certificates.map(({ volumeId }) => volumeId));
      return Promise.resolve({ accepted: certificates.length, refused: 0 });
    },
  } as unknown as Client<typeof CertificateService>;
  const pod = { namespace: "shop", name: "web-0", uid: "u", serviceAccount: "web" };
  const certificate = new Uint8Array(200 * 1024);
  const readMounted = () =>
    Promise.resolve(["a", "b", "c"].map((volumeId) => ({ certificate, pod, volumeId })));
  const wait = (ms: number) => {
    waits.push(ms);
    if (waits.length === 8) stop.abort();
    return Promise.resolve();
  };
  const ended = reportUntilReceived(client, { readMounted, wait, random: () => 1 }, stop.signal);
  return { received, waits, ended };
}

Deno.test("a part of a report that is refused keeps no other part from the service, and the report is repeated", async () => {
  const report = refusedReport((call) => call === 1);
  await report.ended;
  assert.deepEqual(report.received, ["b", "c", "a", "b", "c"]);
  assert.deepEqual(report.waits, [10_000]);
});

Deno.test("a report that is refused each time is repeated ever less often, and ends with the connection", async () => {
  const report = refusedReport(() => true);
  await report.ended;
  const seconds = report.waits.map((ms) => ms / 1000);
  assert.deepEqual(seconds, [10, 20, 40, 80, 160, 320, 600, 600]);
  assert.deepEqual(report.received, []);
});
