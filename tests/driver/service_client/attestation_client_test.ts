import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import type { AttestationOutcome } from "../../../src/driver/service_client/attestation_client.ts";
import { TestCa } from "../../../scripts/support/test_ca.ts";
import {
  type Attempt,
  attempt,
  driverFiles,
  nodeCertificate,
  reasonOf,
  requestOf,
  response,
  serveAttestation,
  serveRaw,
  serverName,
  token,
} from "./attestation_endpoint.ts";

Deno.test("the token is exchanged for a certificate of a key that was made for it", async () => {
  const ca = await TestCa.create();
  await using endpoint = await serveAttestation(ca);
  const [first, second] = [
    await attempt({ ca, port: endpoint.port }),
    await attempt({ ca, port: endpoint.port }),
  ];
  assert.ok(first.kind === "identity" && second.kind === "identity");
  assert.notEqual(first.privateKeyPem, second.privateKeyPem);
  const leaf = new X509Certificate(first.certificatePem);
  assert.match(leaf.subjectAltName ?? "", /spiffe:\/\/cluster.local\/csi-cert-node\/node-1/);
  assert.ok(Math.abs(first.lifetimeMs - 3_600_000) < 2_000, `${first.lifetimeMs}`);
  const [head = ""] = endpoint.received[0]?.split("\r\n\r\n") ?? [];
  assert.match(head, /^POST \/v1\/node-certificate HTTP\/1\.1\r\nHost: cert-service\./);
  assert.match(head, /\r\nConnection: close$/);
});

Deno.test("each refusal is an outcome with the service's sentence", async () => {
  const ca = await TestCa.create();
  const answers: [string, AttestationOutcome["kind"], RegExp][] = [
    [response(401, { error: "the token has expired" }), "refused", /: the token has expired$/],
    [response(403, { error: "is gone" }), "refused", /does not attest this node: is gone$/],
    [response(429, { error: "slow down" }, ["Retry-After: 7"]), "overloaded", /slow down/],
    [response(503, { error: "no keys" }, ["Retry-After: 7"]), "unavailable", /no keys/],
    [response(503, "x", ["Retry-After: Wed, 21 Oct"]), "unavailable", /503 without a reason/],
    [response(400, { error: "malformed" }), "unavailable", /status 400: malformed/],
    [response(500, {}), "unavailable", /status 500 without a reason/],
    [response(302, {}, ["Location: https://elsewhere"]), "unavailable", /status 302/],
    [response(403, { error: `${token} is no good\n${"x".repeat(500)}` }), "refused", /TOKEN is/],
  ];
  const pending = answers.map(([text]) => text);
  await using endpoint = await serveRaw(await ca.issue(serverName), (socket, text) => {
    if (requestOf(text) !== undefined) socket.end(pending.shift()!);
  });
  for (const [, kind, reason] of answers) {
    const outcome = await attempt({ ca, port: endpoint.port });
    assert.equal(outcome.kind, kind);
    assert.match(reasonOf(outcome), reason);
    assert.match(reasonOf(outcome), /^[\x20-\x7e]{1,400}$/);
    const expected = ["slow down", "no keys"].includes(reason.source) ? 7_000 : undefined;
    assert.equal("retryAfterMs" in outcome ? outcome.retryAfterMs : undefined, expected);
  }
  assert.equal(endpoint.accepted, answers.length);
});

Deno.test("a certificate for another key, an expired one and a broken one are no identity", async () => {
  const ca = await TestCa.create();
  const other = await ca.issue("spiffe://a/b");
  const broken = "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n";
  let answer: (request: Record<string, string>) => Promise<unknown>;
  await using endpoint = await serveRaw(await ca.issue(serverName), async (socket, text) => {
    const request = requestOf(text);
    if (request !== undefined) socket.end(response(200, await answer(request)));
  });
  const answers: (typeof answer)[] = [
    () => Promise.resolve({ certificateChain: other.certificatePem }),
    () => Promise.resolve({ certificateChain: "" }),
    () => Promise.resolve({ certificateChain: broken }),
    () => Promise.resolve({ certificateChain: 7 }),
    () => Promise.resolve([]),
    () => Promise.resolve(null),
    (request) => nodeCertificate(ca, request, -1_000),
    async (request) => ({
      certificateChain: (await nodeCertificate(ca, request)).certificateChain + "\n" + broken,
    }),
  ];
  for (const each of answers) {
    answer = each;
    const outcome = await attempt({ ca, port: endpoint.port });
    assert.equal(outcome.kind, "unavailable", `${each}`);
  }
});

Deno.test("a missing or unusable file is named, and nothing is connected to", async () => {
  const ca = await TestCa.create();
  await using endpoint = await serveAttestation(ca);
  const { port } = endpoint;
  await using files = await driverFiles(ca);
  const bad = `${files.caFile}.bad`;
  const missing: [Attempt["files"], RegExp][] = [
    [
      { caFile: "/nowhere/ca.crt" },
      /^the trust bundle \/nowhere\/ca.crt \(CERT_SERVICE_CA_FILE\) does not exist$/,
    ],
    [
      { tokenFile: "/nowhere/t" },
      /^the token file \/nowhere\/t \(CERT_SERVICE_TOKEN_FILE\) does not exist$/,
    ],
    [
      { caFile: bad },
      /CERT_SERVICE_CA_FILE\) cannot be used: the trust bundle holds no PEM certificate/,
    ],
  ];
  for (const text of ["", "nonsense"]) {
    await Deno.writeTextFile(bad, text);
    for (const [own, reason] of missing) {
      const outcome = await attempt({ ca, port, files: own! });
      assert.equal(outcome.kind, "waiting");
      assert.match(reasonOf(outcome), reason);
    }
  }
  await Deno.writeTextFile(bad, ca.certificatePem.replace(/\n[A-Za-z0-9+/]{4}/, "\nAAAA"));
  const outcome = await attempt({ ca, port, files: { caFile: bad } });
  assert.match(reasonOf(outcome), /holds a certificate that cannot be read/);
  assert.equal(endpoint.accepted, 0);
});

Deno.test("a token that no header could carry is not sent", async () => {
  const ca = await TestCa.create();
  await using endpoint = await serveAttestation(ca);
  await using files = await driverFiles(ca);
  for (const text of ["", " \n", "two words", "line\nbreak", "x".repeat(13_000), "\u00e9"]) {
    await Deno.writeTextFile(files.tokenFile, text);
    const { tokenFile } = files;
    const outcome = await attempt({ ca, port: endpoint.port, files: { tokenFile } });
    assert.equal(outcome.kind, "waiting");
    assert.match(
      reasonOf(outcome),
      /\(CERT_SERVICE_TOKEN_FILE\) is empty, contains blanks or has more than 12288 bytes/,
    );
  }
  assert.equal(endpoint.received.join(""), "");
  await Deno.writeTextFile(files.tokenFile, `${token}\n`);
  const { tokenFile } = files;
  const outcome = await attempt({ ca, port: endpoint.port, files: { tokenFile } });
  assert.equal(outcome.kind, "identity");
});

Deno.test("a port that nothing listens on is unavailable at once", async () => {
  const ca = await TestCa.create();
  const { port } = await (async () => {
    await using endpoint = await serveAttestation(ca);
    return endpoint;
  })();
  const outcome = await attempt({ ca, port });
  assert.equal(outcome.kind, "unavailable");
  assert.match(
    reasonOf(outcome),
    /^the attestation endpoint 127\.0\.0\.1:\d+ cannot be used: /,
  );
});
