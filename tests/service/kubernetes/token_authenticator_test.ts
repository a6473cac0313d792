import assert from "node:assert/strict";
import { TokenAuthenticator } from "../../../src/service/kubernetes/token_authenticator.ts";
import { podObject } from "../../../scripts/support/api_pod.ts";
import type { TokenOptions } from "../../../scripts/support/api_tokens.ts";
import { driver, never, openApi } from "./kubernetes_fixture.ts";

async function open() {
  const api = await openApi();
  const authenticator = new TokenAuthenticator({ ...api, driver });
  const show = (authorization: string | undefined, signal = never) =>
    authenticator.authenticate({ authorization, peerCertificate: undefined }, signal);
  return {
    ...api,
    show,
    showToken: (token: string, signal = never) => show(`Bearer ${token}`, signal),
    make: (options: TokenOptions = {}) => api.server.tokens.make(options),
  };
}

const node1 = {
  kind: "caller",
  caller: {
    kind: "node",
    node: "node-1",
    serviceAccount: "csi-cert-system/csi-cert-driver",
    podUid: "5a1d7c1e-0000-4000-8000-000000000001",
    tokenId: "JTI=token",
  },
};

Deno.test("the driver's token speaks for the node of its pod", async () => {
  await using api = await open();
  assert.deepEqual(await api.showToken(api.make()), node1);
  assert.deepEqual(api.server.calls.map(({ text }) => text), ["create tokenreviews"]);
});

Deno.test("before Kubernetes 1.30 the node is the one of the driver's own pod", async () => {
  await using api = await open();
  const pod = { name: "csi-cert-driver-abcde", uid: "driver-uid" };
  const token = api.make({ pod, node: null });
  const answer = async () => await api.showToken(token);
  const text = async () => {
    const answered = await answer();
    assert(answered.kind === "denied", JSON.stringify(answered));
    return answered.problem;
  };
  assert.match(await text(), /pod csi-cert-driver-abcde is not there/);
  const metadata = { namespace: driver.namespace, ...pod };
  const spec = { nodeName: "node-7", serviceAccountName: driver.name };
  const put = (given: Parameters<typeof podObject>[0]) =>
    api.server.objects.put("pods", podObject(given));
  put({ metadata: { ...metadata, uid: "another" }, spec });
  assert.match(await text(), /not the one that the token was made for/);
  put({ metadata, spec: { ...spec, serviceAccountName: "other" } });
  assert.match(await text(), /does not run as service account csi-cert-driver/);
  put({ metadata, spec: { ...spec, nodeName: undefined } });
  assert.match(await text(), /on a node/);
  api.server.fail("get pods", 500);
  assert.equal((await answer()).kind, "unavailable");
  put({ metadata, spec });
  const { caller } = { ...node1, ...await answer() };
  assert.deepEqual(caller, { ...node1.caller, node: "node-7", podUid: "driver-uid" });
});

Deno.test("another account's token for this service is denied with the account's name", async () => {
  await using api = await open();
  const unbound = api.make({ account: "ops/admin", pod: null, node: null });
  for (
    const [token, account] of [[unbound, "ops:admin"], [
      api.make({ account: "shop/web" }),
      "shop:web",
    ]]
  ) {
    const answer = await api.showToken(token!);
    assert.equal(answer.kind, "denied");
    assert("problem" in answer);
    assert.equal(
      answer.problem,
      `system:serviceaccount:${account} is not the drivers' service account ` +
        "csi-cert-system/csi-cert-driver: only drivers call this port",
    );
  }
});

Deno.test("the driver's token without a pod is refused, also when only the review shows it", async () => {
  await using api = await open();
  const unbound = await api.showToken(api.make({ pod: null }));
  assert.equal(unbound.kind, "denied");
  assert.equal(api.server.count(), 0);
  assert("problem" in unbound);
  assert.match(unbound.problem, /csi-cert-system\/csi-cert-driver is bound to no pod/);
  const user = { username: `system:serviceaccount:${driver.namespace}:${driver.name}` };
  api.server.tokens.review = () => ({
    authenticated: true,
    audiences: ["csi-cert-service"],
    user: { ...user, extra: { "authentication.kubernetes.io/node-name": ["node-1"] } },
  });
  assert.deepEqual(await api.showToken(api.make()), unbound);
});

Deno.test("what a token says of itself is looked at before the API server is asked", async () => {
  await using api = await open();
  const hour = { hours: 1 };
  const past = Temporal.Now.instant().subtract(hour);
  const [header = "", payload = "", signature = ""] = api.make().split(".");
  const rows: [string | undefined, RegExp][] = [
    [undefined, /no token was sent/],
    ["", /bearer token/],
    ["Basic dXNlcjpwYXNz", /bearer token/],
    ["Bearer", /bearer token/],
    ["Bearer a b", /bearer token/],
    [`Bearer ${"x".repeat(100_000)}`, /at most 8192 characters/],
    ["Bearer garbage", /no JSON Web Token/],
    ["Bearer a.b.c", /no JSON Web Token/],
    [`Bearer ${header}.${payload}`, /no JSON Web Token/],
    [`Bearer ${header}.${payload}.`, /no JSON Web Token/],
    [`Bearer ${header}.${payload}.${signature}.${signature}`, /no JSON Web Token/],
    [`Bearer ${header}.${btoa("[1]")}.${signature}`, /no JSON Web Token/],
    [`Bearer ${api.make({ audiences: ["https://kubernetes.default.svc"] })}`, /another audience/],
    [`Bearer ${api.make({ expiresAt: past })}`, /expired at/],
  ];
  const claims = [
    [{}, /another audience/],
    [{ aud: "csi-cert-service" }, /no time of its expiry/],
    [{ aud: "csi-cert-service", exp: "soon" }, /no time of its expiry/],
    [{ aud: "csi-cert-service", exp: 1e300 }, /no time of its expiry/],
    [{ aud: "csi-cert-service", exp: 9e9, sub: "admin" }, /not of a service account/],
    [{ aud: "csi-cert-service", exp: 9e9, sub: ["x"] }, /not of a service account/],
  ] as const;
  for (const [given, problem] of claims) {
    rows.push([`Bearer x.${btoa(JSON.stringify(given)).replaceAll("=", "")}.y`, problem]);
  }
  for (const [authorization, problem] of rows) {
    const answer = await api.show(authorization);
    assert.equal(answer.kind, "unauthenticated", `${problem}`);
    assert("problem" in answer);
    assert.match(answer.problem, problem);
    for (const piece of authorization?.split(/[ .]/) ?? []) {
      assert(piece.length < 8 || !answer.problem.includes(piece));
    }
  }
  assert.equal(api.server.count(), 0);
});

Deno.test("what the API server does not confirm is refused, and nothing of its words is passed on", async () => {
  await using api = await open();
  const forged = api.make().replace(/\.[^.]+$/, ".Zm9yZ2Vk");
  const rows: [string, RegExp][] = [
    [forged, /does not accept the token/],
    [api.make({ revoked: true }), /does not accept the token/],
  ];
  for (const [token, problem] of rows) {
    const answer = await api.showToken(token);
    assert.equal(answer.kind, "unauthenticated");
    assert("problem" in answer);
    assert.match(answer.problem, problem);
    assert(!answer.problem.includes(token.slice(0, 10)));
  }
  assert.equal(api.server.count("create tokenreviews"), 2);
});

Deno.test("an API server that does not look at audiences does not make a token ours", async () => {
  await using api = await open();
  api.server.tokens.review = () => ({
    authenticated: true,
    user: { username: `system:serviceaccount:${driver.namespace}:${driver.name}` },
  });
  const answer = await api.showToken(api.make());
  assert.equal(answer.kind, "unauthenticated");
  assert.match("problem" in answer ? answer.problem : "", /does not confirm the token's audience/);
});

Deno.test("a token is reviewed once a minute, and once for all who show it at the same time", async () => {
  await using api = await open();
  const token = api.make();
  const answers = await Promise.all(Array.from({ length: 20 }, () => api.showToken(token)));
  for (const answer of answers) assert.deepEqual(answer, node1);
  assert.equal(api.server.count(), 1);
  await api.clock.advance({ seconds: 59 });
  await api.showToken(token);
  assert.equal(api.server.count(), 1);
  await api.clock.advance({ seconds: 2 });
  await api.showToken(token);
  assert.equal(api.server.count(), 2);
});

Deno.test("a token is not remembered beyond its expiry, and a refusal not at all", async () => {
  await using api = await open();
  const expiresAt = api.clock.now().add({ seconds: 20 });
  const token = api.make({ expiresAt });
  assert.deepEqual(await api.showToken(token), node1);
  await api.clock.advance({ seconds: 21 });
  // The API server's clock is the machine's here, and has not moved.
  await api.showToken(token);
  assert.equal(api.server.count(), 2);
  const revoked = api.make({ revoked: true });
  await api.showToken(revoked);
  await api.showToken(revoked);
  assert.equal(api.server.count(), 4);
});

Deno.test("one caller that leaves does not take the review from the others", async () => {
  await using api = await open();
  const token = api.make();
  const leaving = new AbortController();
  const [left, stayed] = [api.showToken(token, leaving.signal), api.showToken(token)];
  leaving.abort(new Error("left"));
  await assert.rejects(left, /left/);
  assert.deepEqual(await stayed, node1);
  assert.equal(api.server.count(), 1);
});

Deno.test("at most sixteen tokens are reviewed at once", async () => {
  await using api = await open();
  const tokens = Array.from({ length: 40 }, () => api.make());
  const answers = await Promise.all(tokens.map((token) => api.showToken(token)));
  assert(answers.every(({ kind }) => kind === "caller"));
  assert(api.server.mostAnswering <= 16, `${api.server.mostAnswering}`);
  assert.equal(api.server.count(), 40);
});

Deno.test("an API server that is away makes the caller unknown for now, not refused", async () => {
  await using api = await open();
  const token = api.make();
  for (
    const [fault, problem] of [
      [500, /answered 500/],
      [503, /answered 503/],
      [429, /overloaded/],
      [404, /404/],
      ["nonsense", /no Kubernetes object/],
      ["cut", /cannot be asked/],
    ] as const
  ) {
    api.server.fail("create tokenreviews", fault);
    const answer = await api.showToken(token);
    assert.equal(answer.kind, "unavailable", `${fault}`);
    const text = "problem" in answer ? answer.problem : "";
    assert.match(text, problem);
    assert(!text.includes("c2VjcmV0") && !text.includes(token));
  }
  api.server.forbidden.add("create tokenreviews");
  const forbidden = await api.showToken(token);
  assert.equal(forbidden.kind, "unavailable");
  assert.match(
    "problem" in forbidden ? forbidden.problem : "",
    /apiGroups \["authentication\.k8s\.io"\], resources \["tokenreviews"\], verbs \["create"\]/,
  );
  api.server.forbidden.clear();
  assert.deepEqual(await api.showToken(token), node1);
});
