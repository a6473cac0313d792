import assert from "node:assert/strict";
import { describeFileError } from "../../../src/shared/text/file_error.ts";
import { temporaryFolder } from "../../support/temporary_folder.ts";

const errorOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(() => undefined, (error) => error);

Deno.test("the error of a file that cannot be read names the file once", async () => {
  await using folder = await temporaryFolder();
  const directory = await errorOf(Deno.readTextFile(folder.path));
  assert.equal(
    describeFileError(`POLICY_FILE ${folder.path}`, directory),
    `POLICY_FILE ${folder.path} cannot be read: Is a directory (os error 21)`,
  );
  const missing = await errorOf(Deno.readTextFile(`${folder.path}/it's`));
  assert.equal(describeFileError("POLICY_FILE /it's", missing), "POLICY_FILE /it's does not exist");
  const denied = "Permission denied (os error 13)";
  const runtime = new Error(`${denied}: readfile '/it's'`);
  assert.equal(describeFileError("/it's", runtime), `/it's cannot be read: ${denied}`);
  const node = new Error("EACCES: permission denied, open '/a'");
  assert.equal(describeFileError("/a", node), "/a cannot be read: EACCES: permission denied");
});
