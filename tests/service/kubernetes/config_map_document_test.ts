import assert from "node:assert/strict";
import { ConfigMapDocument } from "../../../src/service/kubernetes/config_map_document.ts";
import { document, Listening, never, openApi, pass } from "./kubernetes_fixture.ts";

async function open() {
  const api = await openApi();
  const replica = () =>
    new ConfigMapDocument(api.connection, document, { clock: api.clock, random: () => 0.5 });
  const stored = () => api.server.objects.get("configmaps", document.namespace, document.name);
  return { ...api, replica, stored };
}

Deno.test("a document is absent at first, and then made, read and changed", async () => {
  await using api = await open();
  const replica = api.replica();
  assert.equal(await replica.read(never), undefined);
  assert.equal(await replica.write({ a: "1", b: "2" }, undefined, never), true);
  const first = await replica.read(never);
  assert.deepEqual(first?.data, { a: "1", b: "2" });
  assert.equal(await replica.write({ b: "3" }, first?.version, never), true);
  assert.deepEqual((await replica.read(never))?.data, { b: "3" });
  assert.equal(api.stored()?.kind, "ConfigMap");
});

Deno.test("of two replicas that make the document at once one is rejected, and no data is lost", async () => {
  await using api = await open();
  const replicas = [api.replica(), api.replica()];
  const wrote = await Promise.all(
    replicas.map((replica, at) => replica.write({ doc: `of ${at}` }, undefined, never)),
  );
  assert.deepEqual(wrote.toSorted(), [false, true]);
  assert.deepEqual(api.stored()?.data, { doc: `of ${wrote.indexOf(true)}` });
  assert.equal(await api.replica().write({ doc: "of 9" }, undefined, never), false);
});

Deno.test("a write on an old version is rejected, and writers that merge lose no data", async () => {
  await using api = await open();
  await api.replica().write({ list: "" }, undefined, never);
  const add = async (word: string) => {
    for (let tries = 1;; tries++) {
      const replica = api.replica();
      const before = await replica.read(never);
      const list = `${before?.data.list},${word}`;
      if (await replica.write({ list }, before?.version, never)) return tries;
    }
  };
  const words = ["a", "b", "c", "d", "e", "f"];
  const tries = await Promise.all(words.map(add));
  assert(tries.some((count) => count > 1));
  assert.deepEqual(String((api.stored()?.data as { list: string }).list).split(",").toSorted(), [
    "",
    ...words,
  ]);
});

Deno.test("a document that was deleted is not written on its old version", async () => {
  await using api = await open();
  await api.replica().write({ a: "1" }, undefined, never);
  const { version } = await api.replica().read(never) ?? {};
  api.server.objects.delete("configmaps", document.namespace, document.name);
  assert.equal(await api.replica().write({ a: "2" }, version, never), false);
  await api.replica().write({ a: "3" }, undefined, never);
  assert.equal(await api.replica().write({ a: "2" }, version, never), false);
  assert.deepEqual(api.stored()?.data, { a: "3" });
});

Deno.test("a document that cannot be read or written rejects with the missing rule", async () => {
  await using api = await open();
  api.server.fail("get configmaps", 500);
  await assert.rejects(api.replica().read(never), /the call to the API server failed/);
  api.server.forbidden.add("patch configmaps");
  for (const version of [undefined, "1"]) {
    await assert.rejects(
      api.replica().write({ a: "1" }, version, never),
      /a Role in namespace csi-cert-system .*resourceNames \["csi-cert-denials"\], verbs \[.*"patch"\]/,
    );
  }
});

Deno.test("each change is reported by the watch, or within ten seconds without one", async () => {
  for (const allowed of [true, false]) {
    await using api = await open();
    if (!allowed) api.server.forbidden.add("watch configmaps");
    await using listening = new Listening((signal) => api.replica().watch(signal));
    const until = (count: number) => pass(api.clock, () => listening.seen.length === count);
    await api.clock.until(() => listening.seen.length === 1);
    if (allowed) await api.clock.until(() => api.server.openWatches === 1);
    await api.replica().write({ a: "1" }, undefined, never);
    await until(2);
    const { version } = await api.replica().read(never) ?? {};
    await api.replica().write({ a: "2" }, version, never);
    await until(3);
  }
});

Deno.test("what the API server says about a ConfigMap that it does not accept is quoted, in one line", async () => {
  await using api = await open();
  const replica = api.replica();
  assert.equal(replica.name, "ConfigMap csi-cert-system/csi-cert-denials");
  const message = 'ConfigMap "csi-cert-denials" is invalid:\n []: Too long';
  for (const code of [403, 413, 422]) {
    api.server.fail("patch configmaps", { code, message });
    await assert.rejects(
      replica.write({ a: "1" }, undefined, never),
      /create configmaps csi-cert-system\/csi-cert-denials.*; it says: ConfigMap "csi-cert-denials" is invalid: \[\]: Too long$/,
      `${code}`,
    );
  }
  api.server.fail("patch configmaps", { code: 422, message: "a\u0007b" });
  await assert.rejects(replica.write({ a: "1" }, undefined, never), /answered 422$/);
});
