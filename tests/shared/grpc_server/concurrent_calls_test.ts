import assert from "node:assert/strict";
import { CertificateAdministration } from "../../../src/shared/gen/certificate_service_pb.ts";
import { connect } from "../../../src/shared/grpc_client/client.ts";
import { serveTcp } from "../../../src/shared/grpc_server/server.ts";
import { stubService } from "../../support/stub_service.ts";
import { TestCa } from "../../../scripts/support/test_ca.ts";

Deno.test("a connection that sends a hundred calls at once has them answered in parts, and keeps no other connection waiting", async () => {
  let open = 0;
  let most = 0;
  const isFull = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const services = [
    stubService(CertificateAdministration, {
      async getCertificateInfo({ serialNumber }) {
        if (serialNumber === "other") return {};
        most = Math.max(most, ++open);
        if (open >= 32) isFull.resolve();
        await release.promise;
        open--;
        return {};
      },
    }),
  ];
  await using server = await serveTcp({ hostname: "127.0.0.1", port: 0 }, { services });
  const address = `http://127.0.0.1:${server.port}`;
  using first = connect(CertificateAdministration, { address });
  using second = connect(CertificateAdministration, { address });
  // Until a connection is established, its client does not know how many calls it may send.
  await Promise.all(
    [first, second].map((one) => one.getCertificateInfo({ serialNumber: "other" })),
  );
  const calls = Array.from({ length: 100 }, () => first.getCertificateInfo({}));
  await isFull.promise;
  await second.getCertificateInfo({ serialNumber: "other" });
  release.resolve();
  await Promise.all(calls);
  assert.equal(most, 32);
});

for (const transport of ["http", "https"] as const) {
  Deno.test(`what forty connections send at once over ${transport} is read in parts, and each call has its own answer`, async () => {
    const ca = await TestCa.create();
    const name = "cert-service.csi-cert-driver.internal";
    const identity = await ca.issue(name);
    const tls = { current: () => identity, onChange: () => ({ [Symbol.dispose]() {} }) };
    let [inThisTurn, most] = [0, 0];
    const services = [
      stubService(CertificateAdministration, {
        getCertificateInfo: ({ serialNumber }) => {
          if (inThisTurn === 0) setImmediate(() => inThisTurn = 0);
          most = Math.max(most, ++inThisTurn);
          return Promise.resolve({ certificate: { serialNumber } });
        },
      }),
    ];
    const isTls = transport === "https";
    await using server = await serveTcp({ hostname: "127.0.0.1", port: 0 }, {
      services,
      ...(isTls ? { tls } : {}),
    });
    const address = `${transport}://127.0.0.1:${server.port}`;
    const trust = isTls ? { trustBundle: () => ca.certificatePem, serverName: name } : {};
    using clients = new DisposableStack();
    const all = Array.from(
      { length: 40 },
      () => clients.use(connect(CertificateAdministration, { address, ...trust })),
    );
    // Until a connection is established, its client does not know how many calls it may send.
    await Promise.all(all.map((client) => client.getCertificateInfo({})));
    // Of half a KiB each, so that forty connections with 32 of them have ten times what one turn reads.
    const numbers = Array.from({ length: 2_000 }, (_, n) => n.toString(16).padStart(512, "0"));
    most = 0;
    const answers = await Promise.all(
      numbers.map((serialNumber, n) => all[n % 40]!.getCertificateInfo({ serialNumber })),
    );
    assert.deepEqual(answers.map(({ certificate }) => certificate?.serialNumber), numbers);
    // All connections together have 1,280 open.
    assert.ok(most <= 400, `${most} calls were read in one turn of the event loop`);
  });
}
