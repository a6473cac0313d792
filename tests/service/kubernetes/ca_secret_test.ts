import assert from "node:assert/strict";
import type { CaSourceState } from "../../../src/service/ca/ca_source.ts";
import { caSecretSource } from "../../../src/service/kubernetes/ca_secret.ts";
import { shippedPermissions } from "../../../src/service/kubernetes/permissions.ts";
import { compromisedAnnotation } from "../../../src/shared/text/product_names.ts";
import { captureLogs } from "../../support/captured_logs.ts";
import { Listening, openApi, pass, secret } from "./kubernetes_fixture.ts";

async function open() {
  await using stack = new AsyncDisposableStack();
  const api = stack.use(await openApi());
  const source = caSecretSource(api.connection, secret, {
    clock: api.clock,
    random: () => 0.5,
  });
  const put = (text: string, metadata = {}, more: Record<string, string> = {}) =>
    api.server.objects.put("secrets", {
      metadata: { ...secret, ...metadata },
      type: "kubernetes.io/tls",
      data: { "tls.crt": btoa(text), "tls.key": btoa(`key of ${text}`), ...more },
    });
  const remove = () => api.server.objects.delete("secrets", secret.namespace, secret.name);
  const kept = stack.move();
  const listen = () => {
    const listening = new Listening<CaSourceState>((signal) => source.watch(signal));
    kept.use(listening);
    const seen = () =>
      listening.seen.map((state) =>
        state.kind === "present" ? state.content.certificatePem : state.kind
      );
    const until = (...expected: string[]) =>
      api.clock.until(() => seen().length >= expected.length)
        .then(() => assert.deepEqual(seen(), expected));
    return { listening, seen, until };
  };
  const watching = () => api.clock.until(() => api.server.openWatches === 1);
  return {
    ...api,
    put,
    remove,
    listen,
    watching,
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

Deno.test("the CA is reported at once and after each change, with two API calls", async () => {
  await using api = await open();
  api.put("one", { uid: "secret-uid" }, { "ca.crt": btoa("root") });
  const { until, listening } = api.listen();
  await until("one");
  assert.deepEqual(listening.seen[0], {
    kind: "present",
    content: {
      certificatePem: "one",
      privateKeyPem: "key of one",
      furtherAnchorsPem: "root",
      compromised: false,
      clusterId: "secret-uid",
      former: undefined,
      source: { uid: "secret-uid", version: "1001" },
    },
  });
  await api.watching();
  api.put("two", { annotations: { "csi-cert-driver/old-key-compromised": "true" } });
  await until("one", "two");
  const [, two] = listening.seen;
  assert(two?.kind === "present" && two.content.compromised);
  assert.equal(two.content.furtherAnchorsPem, undefined);
  assert.deepEqual(api.server.calls.map(({ text }) => text), [
    "watch secrets csi-cert-system/csi-ca-secret",
    "get secrets csi-cert-system/csi-ca-secret",
  ]);
  const [watch] = api.server.calls;
  assert.equal(watch?.query.get("fieldSelector"), "metadata.name=csi-ca-secret");
});

Deno.test("other Secrets, bookmarks and lines that are not JSON are not reported", async () => {
  await using api = await open();
  api.put("one");
  const { until, seen } = api.listen();
  await until("one");
  await api.watching();
  const other = { metadata: { namespace: secret.namespace, name: "other" }, data: {} };
  api.server.objects.put("secrets", other);
  const bookmark = { kind: "Secret", metadata: { resourceVersion: "99999" } };
  api.server.send(JSON.stringify({ type: "BOOKMARK", object: bookmark }));
  const foreign = { metadata: { name: "other", resourceVersion: "99999" } };
  api.server.send(JSON.stringify({ type: "MODIFIED", object: foreign }));
  api.put("two");
  await until("one", "two");
  api.server.send("this is no JSON");
  await pass(api.clock, () => api.server.count("watch") === 2);
  await api.watching();
  assert.deepEqual(seen(), ["one", "two"]);
});

Deno.test("a watch's line that is not JSON is not logged", async () => {
  await using logs = await captureLogs([]);
  await using api = await open();
  api.put("one");
  const { until } = api.listen();
  await until("one");
  await api.watching();
  api.server.send(`{"tls.key": c2VjcmV0}`);
  await pass(api.clock, () => api.server.count("watch") === 2);
  const written = Deno.inspect(logs.records, { depth: 20 });
  assert.match(written, /a line of the watch is not JSON/);
  assert(!written.includes("c2Vj"), written);
});

Deno.test("a Secret that is missing, made, deleted and made again is reported each time", async () => {
  await using api = await open();
  const { until } = api.listen();
  await until("absent");
  await api.watching();
  api.put("one");
  await until("absent", "one");
  api.remove();
  await until("absent", "one", "absent");
  api.put("one");
  await until("absent", "one", "absent", "one");
});

Deno.test("a change during a lost watch is reported once after it", async () => {
  await using api = await open();
  api.put("one");
  const { until, seen } = api.listen();
  await until("one");
  for (const text of ["two", "three"]) {
    await api.watching();
    api.server.disconnect();
    api.put(text);
    await pass(api.clock, () => seen().at(-1) === text);
  }
  await api.watching();
  api.server.disconnect();
  api.remove();
  await pass(api.clock, () => seen().at(-1) === "absent");
  assert.deepEqual(seen(), ["one", "two", "three", "absent"]);
});

Deno.test("changes are reported also when versions have gone back, as after etcd was restored", async () => {
  await using api = await open();
  api.put("one");
  const { until, seen } = api.listen();
  await until("one");
  await api.watching();
  api.server.disconnect();
  api.server.objects.setVersionBack(500);
  api.put("two");
  await pass(api.clock, () => seen().at(-1) === "two");
  await api.watching();
  api.put("three");
  await until("one", "two", "three");
});

Deno.test("a watch that is rejected as too old is opened again", async () => {
  await using api = await open();
  api.put("one");
  const { until, seen } = api.listen();
  await until("one");
  await api.watching();
  const gone = { kind: "Status", code: 410, reason: "Expired" };
  api.server.objects.compact();
  api.server.send(JSON.stringify({ type: "ERROR", object: gone }));
  await api.clock.until(() => api.server.openWatches === 0);
  api.put("two");
  await pass(api.clock, () => api.server.count("watch") === 2);
  await until("one", "two");
  await api.watching();
  api.server.fail("watch", 410);
  api.server.disconnect();
  api.put("three");
  await pass(api.clock, () => seen().at(-1) === "three");
});

Deno.test("an outage is reported once, and the source retries with backoff", async () => {
  await using api = await open();
  api.put("one");
  const { until, listening } = api.listen();
  await until("one");
  await api.watching();
  await api.server.stop();
  const before = api.clock.now();
  await api.clock.until(() => api.server.openWatches === 0);
  await api.clock.advance({ minutes: 5 });
  await api.clock.until(() => listening.seen.length === 2);
  assert.equal(listening.seen[1]?.kind, "unavailable");
  api.put("two");
  await api.server.listen();
  await api.clock.advance({ seconds: 30 });
  await api.clock.until(() => listening.seen.length === 3);
  await until("one", "unavailable", "two");
  assert(before.until(api.clock.now()).total("minutes") < 7);
});

Deno.test("a watch of a server that hangs ends, and an outage without a change is followed by no report", async () => {
  await using api = await open();
  api.put("one");
  const { until, seen } = api.listen();
  await until("one");
  await api.watching();
  api.server.fail("", "hang", 2);
  api.server.disconnect();
  await pass(api.clock, () => seen().length === 2);
  await until("one", "unavailable");
  await pass(api.clock, () => api.server.openWatches === 1);
  assert.deepEqual(seen(), ["one", "unavailable"]);
});

Deno.test("a watch without events is opened again within minutes", async () => {
  await using api = await open();
  api.put("one");
  const { until } = api.listen();
  await until("one");
  await api.watching();
  const [watch] = api.server.calls;
  assert.equal(watch?.query.get("timeoutSeconds"), "270");
  await api.clock.advance({ seconds: 281 });
  await api.clock.until(() => api.server.count("watch") === 2);
  await api.watching();
});

Deno.test("where RBAC forbids the watch the Secret is read every ten seconds", async () => {
  await using api = await open();
  api.server.forbidden.add("watch");
  api.put("one");
  const { until } = api.listen();
  await until("one");
  api.put("two");
  await api.clock.advance({ seconds: 9 });
  await until("one");
  await api.clock.advance({ seconds: 1 });
  await until("one", "two");
});

Deno.test("a watch is closed when the Secret cannot be read, so that no connection remains", async () => {
  await using api = await open();
  api.put("one");
  api.server.rules = shippedPermissions.filter((rule) =>
    !(rule.verb === "get" && "resource" in rule && rule.resource === "secrets")
  );
  const { until } = api.listen();
  await until("unavailable");
  await pass(api.clock, () => api.server.count("watch") >= 4);
  await pass(api.clock, () => api.server.openWatches <= 1);
});

Deno.test("a Secret without its keys, or with values that are not base64, is reported as empty and logged", async () => {
  await using logs = await captureLogs(["cert-service"]);
  await using api = await open();
  const data = { "tls.crt": "%%%", "tls.key": btoa("very secret key") };
  api.server.objects.put("secrets", { metadata: secret, data });
  const { listening } = api.listen();
  await api.clock.until(() => listening.seen.length === 1);
  const [state] = listening.seen;
  assert(state?.kind === "present");
  assert.deepEqual([state.content.certificatePem, state.content.privateKeyPem], [
    "",
    "very secret key",
  ]);
  api.server.objects.put("secrets", { metadata: secret });
  await api.clock.until(() => listening.seen.length === 2);
  const logged = logs.records.filter(({ level }) => level === "error").map(({ message }) =>
    message.join("")
  );
  assert.deepEqual(logged, [
    "Secret csi-cert-system/csi-ca-secret: tls.crt is not base64",
    "Secret csi-cert-system/csi-ca-secret has no tls.crt; expected tls.crt and tls.key, PEM",
    "Secret csi-cert-system/csi-ca-secret has no tls.crt and no tls.key; expected tls.crt and " +
    "tls.key, PEM",
  ]);
  assert(!JSON.stringify(logs.records).includes("very secret"));
});

Deno.test("the annotation of a compromised key has an effect only as true, and a value that is neither true nor false is reported", async () => {
  await using logs = await captureLogs(["cert-service"]);
  await using api = await open();
  const marked = (value: string) => ({ annotations: { [compromisedAnnotation]: value } });
  api.put("one", marked("false"));
  const { until, listening } = api.listen();
  await until("one");
  await api.watching();
  api.put("two", marked("Yes"));
  await until("one", "two");
  api.put("three", marked("true"));
  await until("one", "two", "three");
  assert.deepEqual(
    listening.seen.map((state) => state.kind === "present" && state.content.compromised),
    [false, false, true],
  );
  assert.deepEqual(logs.records.map(({ message }) => message.join("")), [
    "Secret csi-cert-system/csi-ca-secret: the annotation csi-cert-driver/old-key-compromised is " +
    "not true or false: correct it or remove it",
  ]);
});

Deno.test("the former CA is reported with the CA where the Secret has both of its keys, and half of it is logged", async () => {
  await using logs = await captureLogs(["cert-service"]);
  await using api = await open();
  const former = { "tls-previous.crt": btoa("former"), "tls-previous.key": btoa("its key") };
  api.put("one", {}, former);
  const { until, listening } = api.listen();
  await until("one");
  await api.watching();
  api.put("two", {}, { "tls-previous.crt": btoa("former") });
  await until("one", "two");
  assert.deepEqual(
    listening.seen.map((state) => state.kind === "present" && state.content.former),
    [{ certificatePem: "former", privateKeyPem: "its key" }, undefined],
  );
  assert.deepEqual(logs.records.map(({ message }) => message.join("")), [
    "Secret csi-cert-system/csi-ca-secret has one of tls-previous.crt and tls-previous.key, and is " +
    "used without a former CA; give both, or remove it",
  ]);
});
