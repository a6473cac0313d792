import assert from "node:assert/strict";
import { writeNewFiles } from "../../../src/service/admin/new_files.ts";
import { temporaryFolder } from "../../support/temporary_folder.ts";

const files = [
  { name: "tls.key", text: "key", mode: 0o600 },
  { name: "tls.crt", text: "certificate", mode: 0o644 },
];
const namesIn = (folder: string) => [...Deno.readDirSync(folder)].map(({ name }) => name);

Deno.test("new files are made with their modes, in a directory of their owner alone", async () => {
  await using folder = await temporaryFolder();
  const directory = `${folder.path}/one/two`;
  await writeNewFiles(directory, files);
  assert.equal(await Deno.readTextFile(`${directory}/tls.key`), "key");
  const modeOf = (path: string) => (Deno.statSync(path).mode ?? 0) & 0o777;
  assert.deepEqual(["", "/tls.key"].map((name) => modeOf(directory + name)), [0o700, 0o600]);
});

Deno.test("where one of the files exists none is made, and the file is named", async () => {
  await using folder = await temporaryFolder();
  await Deno.writeTextFile(`${folder.path}/tls.crt`, "old");
  await assert.rejects(
    writeNewFiles(folder.path, files),
    { message: `${folder.path}/tls.crt exists and is not overwritten: give another directory` },
  );
  assert.deepEqual(namesIn(folder.path), ["tls.crt"]);
  assert.equal(await Deno.readTextFile(`${folder.path}/tls.crt`), "old");
});

Deno.test("a file that cannot be written is named, and the files before it are removed", async () => {
  await using folder = await temporaryFolder();
  const [key] = files;
  assert(key !== undefined);
  await assert.rejects(
    writeNewFiles(folder.path, [key, { ...key, name: "none/tls.crt" }]),
    ({ message }: Error) => message.startsWith(`${folder.path}/none/tls.crt cannot be written: `),
  );
  assert.deepEqual(namesIn(folder.path), []);
  await Deno.writeTextFile(`${folder.path}/file`, "");
  await assert.rejects(
    writeNewFiles(`${folder.path}/file/below`, files),
    ({ message }: Error) => message.startsWith(`${folder.path}/file/below cannot be written: `),
  );
});
