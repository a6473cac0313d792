import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { NodeCertificateVerifier } from "../../../src/service/access/node_certificate_verifier.ts";
import { generateKeyPair } from "../../../src/shared/crypto/key_pairs.ts";
import { readCertificate } from "../../../src/shared/x509/certificate.ts";
import { decodePem } from "../../../src/shared/crypto/pem.ts";
import { trustDomain } from "../access/node_certificates.ts";
import { testWith } from "../../support/workbench.ts";
import { createCertificateRequest } from "../../../src/shared/x509/certificate_request.ts";
import {
  account,
  alterToken,
  base64url,
  driverPod,
  openAttestor,
  reasonOf,
} from "./attestation_fixture.ts";

Deno.test("a driver's token is exchanged for a certificate of its node, with one review and one look-up of its pod", async () => {
  await using api = await openAttestor();
  const issued = await api.attest(api.server.tokens.make());
  assert.ok(issued.kind === "issued", JSON.stringify(issued));
  const [leaf, ...more] = issued.chain;
  assert.ok(leaf && more.length === 0);
  const clientCas = api.nodeCas;
  const options = { clientCas, trustDomain, statesPodUid: true, clock: api.clock };
  const verdict = await new NodeCertificateVerifier(options).identify(leaf);
  assert.ok(verdict.kind === "accepted", JSON.stringify(verdict));
  assert.deepEqual(verdict.identity, { kind: "node", node: "node-1", podUid: driverPod.uid });
  assert.deepEqual(api.server.calls.map(({ text }) => text), [
    "get /openid/v1/jwks",
    "create tokenreviews",
    `get pods csi-cert-system/${driverPod.name}`,
  ]);
  const [entry, ...others] = api.entries;
  assert.equal(others.length, 0);
  assert.equal(entry?.serialNumber, readCertificate(leaf)?.serialNumber);
  assert.deepEqual(entry?.caller, {
    kind: "node",
    node: "node-1",
    serviceAccount: account,
    podUid: driverPod.uid,
    tokenId: "JTI=token",
  });
  assert.deepEqual([entry?.action, entry?.outcome, api.outcomes], ["attest", "issued", ["issued"]]);
  // The keys are kept.
  await api.attest(api.server.tokens.make());
  assert.equal(api.server.count("get /openid"), 1);
});

Deno.test("a certificate lasts for an hour, and no longer than the token", async () => {
  await using api = await openAttestor();
  const now = api.clock.now();
  const rows = [[{ hours: 2 }, 3_600], [{ minutes: 20 }, 1_200]] as const;
  for (const [lifetime, seconds] of rows) {
    const issued = await api.attest(api.server.tokens.make({ expiresAt: now.add(lifetime) }));
    assert.ok(issued.kind === "issued");
    const lasts = now.until(issued.notAfter).total("seconds");
    assert.ok(lasts <= seconds && lasts > seconds - 2, `${lasts}`);
    const { notBefore } = readCertificate(issued.chain[0]!)!;
    const before = notBefore.until(now).total("seconds");
    assert.ok(before >= 300 && before < 301, `${before}`);
  }
  const short = await api.attest(api.server.tokens.make({ expiresAt: now.add({ seconds: 5 }) }));
  assert.match(reasonOf(short, "unauthenticated"), /expires at .*: read it again/);
});

for (const kind of ["RS256", "ES256", "ES384", "ES512"] as const) {
  Deno.test(`a cluster can sign tokens with ${kind}`, async () => {
    await using api = await openAttestor();
    api.server.tokens.addKey("cluster", kind);
    const token = api.server.tokens.make();
    assert.equal((await api.attest(token)).kind, "issued");
    // The same length, one bit off.
    const signature = Uint8Array.fromBase64(token.split(".")[2]!, { alphabet: "base64url" });
    signature[signature.length >> 1]! ^= 1;
    const forged = alterToken(token, { signature: base64url(signature) });
    assert.match(reasonOf(await api.attest(forged), "unauthenticated"), /signature/);
    assert.equal(api.server.count("create tokenreviews"), 1);
  });
}

Deno.test("the algorithm that a token states is not used", async () => {
  await using api = await openAttestor();
  api.server.tokens.addKey("rsa", "RS256");
  const token = api.server.tokens.make();
  const publicKey = api.server.tokens.publicKey("rsa")?.export({ type: "spki", format: "pem" });
  const hs256 = alterToken(token, { header: { alg: "HS256" } });
  const signed = hs256.slice(0, hs256.lastIndexOf("."));
  const mac = createHmac("sha256", publicKey ?? "").update(signed).digest();
  const forged = [
    alterToken(token, { header: { alg: "none" }, signature: "" }),
    alterToken(token, { header: { alg: "none" }, signature: "AA" }),
    alterToken(token, { header: { alg: "NONE" } }),
    `${signed}.${base64url(mac)}`,
    alterToken(token, { header: { alg: "PS256" } }),
    alterToken(token, { header: { alg: "ES256" } }),
    alterToken(token, { header: { alg: "RS256", crit: ["exp"] } }),
    alterToken(token, { header: { alg: 1 } }),
  ];
  for (const each of forged) reasonOf(await api.attest(each), "unauthenticated");
  assert.equal(api.server.count("create tokenreviews"), 0);
  assert.equal((await api.attest(token)).kind, "issued");
});

Deno.test("the claims of a token are checked first, which costs no signature and no call", async () => {
  await using api = await openAttestor();
  const { tokens } = api.server;
  const good = tokens.make();
  const past = api.clock.now().subtract({ minutes: 2 });
  const rows: [string, "unauthenticated" | "denied", RegExp][] = [
    ["garbage", "unauthenticated", /not a JSON Web Token/],
    ["a.b.c", "unauthenticated", /not a JSON Web Token/],
    [`${good}.x`, "unauthenticated", /not a JSON Web Token/],
    [`${good}=`, "unauthenticated", /not a JSON Web Token/],
    ["x".repeat(9_000), "unauthenticated", /longer than 8192 characters/],
    [
      tokens.make({ audiences: ["https://kubernetes.default.svc"] }),
      "unauthenticated",
      /another audience/,
    ],
    [tokens.make({ expiresAt: past }), "unauthenticated", /expired at/],
    [
      alterToken(good, { payload: { exp: "soon" } }),
      "unauthenticated",
      /does not state when it expires/,
    ],
    [
      alterToken(good, { payload: { exp: 1e300 } }),
      "unauthenticated",
      /does not state when it expires/,
    ],
    [alterToken(good, { header: { kid: null } }), "unauthenticated", /header/],
    [tokens.make({ account: "shop/web" }), "denied", /not of service account csi-cert-system/],
    [alterToken(good, { payload: { sub: ["x"] } }), "denied", /not of service account/],
    [tokens.make({ pod: null }), "denied", /not bound to a pod/],
  ];
  for (const [token, kind, reason] of rows) {
    const text = reasonOf(await api.attest(token), kind);
    assert.match(text, reason);
    for (const part of token.split(".")) assert.ok(part.length < 8 || !text.includes(part));
  }
  assert.deepEqual([api.server.count(), api.verifications()], [0, 0]);
});

Deno.test("a token signed by another cluster's key with the same id is rejected without a review", async () => {
  await using api = await openAttestor();
  api.server.tokens.addKey("one");
  const token = api.server.tokens.make();
  api.server.tokens.addKey("one");
  assert.match(
    reasonOf(await api.attest(token), "unauthenticated"),
    /not by the key of the cluster/,
  );
  assert.equal(api.server.count("create tokenreviews"), 0);
});

Deno.test("a new key of the API server is found, and keys are read at most every 30 s", async () => {
  await using api = await openAttestor();
  const { tokens } = api.server;
  tokens.addKey("one");
  const attest = (token: string) => api.attest(token).then(({ kind }) => kind);
  assert.equal(await attest(tokens.make()), "issued");
  await api.clock.advance({ seconds: 31 });
  tokens.addKey("two");
  assert.equal(await attest(tokens.make()), "issued");
  assert.equal(api.server.count("get /openid"), 2);
  // After a read, tokens of an unknown key are reviewed one a second.
  tokens.addKey("three");
  assert.equal(await attest(tokens.make()), "issued");
  assert.equal(await attest(tokens.make()), "unavailable");
  assert.equal(api.server.count("get /openid"), 2);
  await api.clock.advance({ seconds: 30 });
  assert.equal(await attest(tokens.make()), "issued");
  assert.equal(await attest(tokens.make()), "issued");
  assert.equal(api.server.count("get /openid"), 3);
});

Deno.test("tokens of unknown keys are reviewed one a second, and accepted if the API server accepts them", async () => {
  await using api = await openAttestor();
  api.server.tokens.addKey("hidden");
  api.server.tokens.hidden.add("hidden");
  const token = api.server.tokens.make();
  assert.equal((await api.attest(token)).kind, "issued");
  const second = await api.attest(token);
  assert.match(reasonOf(second, "unavailable"), /one a second/);
  assert.ok(second.kind === "unavailable" && second.retryAfter.total("seconds") >= 1);
  assert.equal(api.server.count("create tokenreviews"), 1);
  await api.clock.advance({ seconds: 1 });
  const forged = alterToken(token, { signature: base64url(new Uint8Array(64)) });
  assert.match(reasonOf(await api.attest(forged), "unauthenticated"), /does not accept the token/);
});

Deno.test("with a key set that cannot be read or used, tokens are reviewed one a second", async () => {
  await using api = await openAttestor();
  const faults = [500, 403, "cut", "nonsense"] as const;
  for (const fault of faults) {
    api.server.fail("get /openid", fault);
    assert.equal((await api.attest(api.server.tokens.make())).kind, "issued", `${fault}`);
    assert.match(api.keys.problem ?? "", /key set cannot be used/);
    await api.clock.advance({ seconds: 31 });
  }
  const { tokens } = api.server;
  const jwk = { kty: "EC", crv: "P-256", kid: "a", x: "AA", y: "AA" };
  const tooMany = { keys: Array.from({ length: 33 }, (_, index) => ({ ...jwk, kid: `${index}` })) };
  const tooLong = { keys: [{ ...jwk, padding: "x".repeat(64 * 1024) }] };
  for (const keySet of [tooMany, tooLong, { keys: [] }]) {
    const { keySet: own } = tokens;
    tokens.keySet = () => keySet;
    assert.equal((await api.attest(tokens.make())).kind, "issued");
    tokens.keySet = own;
    await api.clock.advance({ seconds: 31 });
  }
  // And then all is well again.
  assert.equal((await api.attest(tokens.make())).kind, "issued");
  assert.equal((await api.attest(tokens.make())).kind, "issued");
  assert.equal(api.keys.problem, undefined);
});

Deno.test("a pod that is gone, replaced, finished or on another node receives no certificate", async () => {
  await using api = await openAttestor();
  const attest = () => api.attest(api.server.tokens.make());
  api.putPod({ node: "node-2" });
  assert.match(reasonOf(await attest(), "denied"), /does not run on the node that the token names/);
  api.putPod({ uid: "another" });
  assert.match(reasonOf(await attest(), "denied"), /not the one that the token was made for/);
  api.putPod({ phase: "Succeeded" });
  assert.match(reasonOf(await attest(), "denied"), /is finished/);
  api.putPod({ node: undefined });
  assert.match(reasonOf(await attest(), "denied"), /does not run as service account .* on a node/);
  api.server.objects.delete("pods", "csi-cert-system", driverPod.name);
  assert.match(reasonOf(await attest(), "denied"), /does not exist/);
  // The API server says so itself when it reviews a token of a deleted pod.
  const revoked = api.server.tokens.make({ revoked: true });
  assert.match(reasonOf(await api.attest(revoked), "unauthenticated"), /does not accept the token/);
  assert.equal(api.entries.length, 6);
  assert.ok(api.entries.every(({ podUid }) => podUid === driverPod.uid));
});

Deno.test("before Kubernetes 1.30 the node is the one of the pod, as the token names none", async () => {
  await using api = await openAttestor();
  api.putPod({ node: "node-7" });
  const issued = await api.attest(api.server.tokens.make({ node: null }));
  assert.ok(issued.kind === "issued");
  assert.deepEqual(readCertificate(issued.chain[0]!)?.uris, [
    "spiffe://cluster.local/csi-cert-node/node-7",
  ]);
});

testWith(
  "openssl",
  "names in a certificate request are ignored, and its signature is not",
  async (bench) => {
    await using api = await openAttestor();
    const other = "spiffe://cluster.local/csi-cert-node/node-2";
    await bench.openssl(
      "req",
      "-new",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:P-256",
      "-nodes",
      "-subj",
      "/CN=node-2/serialNumber=another",
      "-addext",
      `subjectAltName=URI:${other},DNS:node-2`,
      "-addext",
      "basicConstraints=critical,CA:TRUE",
      "-keyout",
      "key.pem",
      "-out",
      "request.pem",
    );
    const [request] = decodePem("CERTIFICATE REQUEST", await bench.read("request.pem"));
    const issued = await api.attest(api.server.tokens.make(), request);
    assert.ok(issued.kind === "issued");
    const leaf = readCertificate(issued.chain[0]!);
    assert.deepEqual(leaf?.uris, ["spiffe://cluster.local/csi-cert-node/node-1"]);
    assert.deepEqual([leaf?.dnsNames, leaf?.isCa], [[], false]);
    assert.equal(leaf?.subject, `2.5.4.5=${driverPod.uid}`);
    const broken = request!.slice();
    broken[broken.length - 1]! ^= 1;
    const refused = await api.attest(api.server.tokens.make(), broken);
    assert.match(reasonOf(refused, "malformed"), /good signature by its own key|not a PKCS #10/);
    const garbage = await api.attest(api.server.tokens.make(), new Uint8Array(9));
    assert.match(reasonOf(garbage, "malformed"), /PKCS #10/);
  },
);

Deno.test("an API server that fails or is slow makes an attestation unavailable, not denied", async () => {
  await using api = await openAttestor();
  const attest = () => api.attest(api.server.tokens.make());
  for (const call of ["create tokenreviews", "get pods"]) {
    for (const fault of [500, 429, "cut", "nonsense"] as const) {
      api.server.fail(call, fault);
      reasonOf(await attest(), "unavailable");
    }
  }
  api.server.fail("create tokenreviews", "hang");
  const leaving = new AbortController();
  const token = api.server.tokens.make();
  const hanging = api.attest(token, api.certificateRequest, leaving.signal);
  await api.clock.until(() => api.server.answering === 1);
  // The driver that has given up tries again while its first attempt hangs.
  assert.match(reasonOf(await attest(), "overloaded"), /being attested already/);
  leaving.abort(new Error("no time is left"));
  assert.equal(reasonOf(await hanging, "unavailable"), "no time is left");
  api.server.release();
  assert.equal((await attest()).kind, "issued");
});

Deno.test("without a node CA the attestation is unavailable", async () => {
  await using api = await openAttestor();
  api.nodeCas.replace({ issuing: undefined, accepted: [], othersAreCompromised: false });
  assert.match(
    reasonOf(await api.attest(api.server.tokens.make()), "unavailable"),
    /no node CA yet/,
  );
});

Deno.test("no certificate is issued where the API server states another account or pod, or no audience", async () => {
  await using api = await openAttestor();
  const { review } = api.server.tokens;
  const altered = (
    change: (status: { audiences?: string[]; user: Record<string, unknown> }) => void,
  ) => {
    api.server.tokens.review = (request, now) => {
      const status = review.call(api.server.tokens, request, now);
      change(status as never);
      return status;
    };
    return api.attest(api.server.tokens.make());
  };
  const account = await altered(({ user }) => user.username = "system:serviceaccount:shop:web");
  assert.match(reasonOf(account, "denied"), /not of service account/);
  const human = await altered(({ user }) => user.username = "admin");
  assert.match(reasonOf(human, "denied"), /not of service account/);
  const unbound = await altered(({ user }) => user.extra = {});
  assert.match(reasonOf(unbound, "denied"), /not bound to a pod/);
  const pod = await altered(({ user }) => {
    (user.extra as Record<string, string[]>)["authentication.kubernetes.io/pod-uid"] = ["other"];
  });
  assert.match(reasonOf(pod, "denied"), /another pod/);
  const audience = await altered((status) => delete status.audiences);
  assert.match(reasonOf(audience, "unauthenticated"), /does not confirm the token's audience/);
});

Deno.test("made-up tokens cost no call to the API server and ten lines a second, and an honest one is served", async () => {
  await using api = await openAttestor();
  const token = api.server.tokens.make();
  assert.equal((await api.attest(token)).kind, "issued");
  const calls = api.server.count();
  const made = (index: number) =>
    alterToken(token, {
      ...(index % 2 ? { header: { kid: `unknown-${index}` } } : {}),
      payload: { jti: `${index}` },
    });
  const forged = Array.from({ length: 1_000 }, (_, index) => api.attest(made(index)));
  const [honest] = await Promise.all([api.attest(token), ...forged]);
  assert.equal(honest.kind, "issued");
  const outcomes = await Promise.all(forged);
  assert.equal(outcomes.filter(({ kind }) => kind === "unauthenticated").length, 501);
  assert.equal(outcomes.filter(({ kind }) => kind === "unavailable").length, 499);
  // The honest one's two, and one review through the narrow lane.
  assert.equal(api.server.count() - calls, 3);
  assert.equal(api.entries.length, 12);
  await api.clock.advance({ seconds: 1 });
  await api.attest("garbage");
  assert.match(api.entries.at(-1)?.reason ?? "", /990 others were not logged/);
});

Deno.test("no audit entry and no reason holds a token or a key", async () => {
  await using api = await openAttestor();
  const token = api.server.tokens.make();
  await api.attest(token);
  await api.attest(alterToken(token, { payload: { jti: "other" } }));
  await api.attest(token, await createCertificateRequest(await generateKeyPair("ed25519")));
  const text = JSON.stringify(api.entries);
  for (const part of token.split(".")) assert.ok(!text.includes(part));
  assert.ok(!text.includes("BEGIN"));
});
