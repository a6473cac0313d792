import assert from "node:assert/strict";
import { MemoryDocument } from "../../../src/service/documents/memory_document.ts";
import { updateDocument } from "../../../src/service/documents/shared_document.ts";

const { signal } = new AbortController();

Deno.test("a change is computed again from what another replica has written in between", async () => {
  const document = new MemoryDocument();
  let calls = 0;
  const value = await updateDocument(document, (content) => {
    const value = ++calls;
    if (value === 1) void document.write({ theirs: "1" }, undefined);
    return { value, data: { ...content?.data, ours: "1" } };
  }, signal);
  assert.equal(value, 2);
  assert.deepEqual((await document.read())?.data, { theirs: "1", ours: "1" });
});

Deno.test("without data the document is not written", async () => {
  const document = new MemoryDocument();
  const value = await updateDocument(document, () => ({ value: 7, data: undefined }), signal);
  assert.deepEqual([value, await document.read()], [7, undefined]);
});

Deno.test("a document that always changes before it is written is reported", async () => {
  const document = new MemoryDocument();
  const updating = updateDocument(document, (content) => {
    void document.write({ theirs: "1" }, content?.version);
    return { value: undefined, data: { ours: "1" } };
  }, signal);
  await assert.rejects(
    updating,
    /^Error: the document in this process's memory changed between each of 20 reads and writes/,
  );
});
