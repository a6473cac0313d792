/** The driver's program and the directories and files of the sockets that the kubelet calls. */
import assert from "node:assert/strict";
import { Program } from "../../scripts/support/programs.ts";
import { driverName } from "../../src/shared/text/product_names.ts";
import { temporaryFolder } from "../support/temporary_folder.ts";

function start(folder: string, env: Record<string, string> = {}): Program {
  return new Program("csi-driver", "source", {
    CSI_ENDPOINT: `unix://${folder}/csi.sock`,
    REGISTRATION_DIR: folder,
    CERT_SERVICE_ADDR: "http://127.0.0.1:9",
    CERT_BASE_PATH: `${folder}/records`,
    HEALTH_ADDR: "127.0.0.1:0",
    ALLOW_KEYS_ON_DISK: "true",
    NODE_ID: "node-1",
    ...env,
  });
}

Deno.test("a driver whose sockets were deleted is no longer live, and serves them again when it is restarted", async () => {
  await using folder = await temporaryFolder();
  const registration = `${folder.path}/${driverName}-reg.sock`;
  await using driver = start(folder.path);
  const { healthAddress } = await driver.ready();
  const livez = async () => {
    const answer = await fetch(`http://${healthAddress}/livez`);
    return { status: answer.status, text: await answer.text() };
  };
  assert.equal((await livez()).status, 200);
  for (const path of [`${folder.path}/csi.sock`, registration]) await Deno.remove(path);
  const { status, text } = await livez();
  assert.equal(status, 503);
  assert.match(text, /removed or replaced .*csi\.sock and .*-reg\.sock: restart the driver/);
  assert.equal((await driver.stop()).code, 0);
  await using again = start(folder.path);
  await again.ready();
  assert.ok((await Deno.lstat(registration)).isSocket);
  assert.equal((await again.stop()).code, 0);
});

Deno.test("a driver does not start, and makes no directory, where the directory of a socket is missing", async () => {
  await using folder = await temporaryFolder();
  for (
    const [variable, value] of [
      ["REGISTRATION_DIR", `${folder.path}/registry`],
      ["CSI_ENDPOINT", `unix://${folder.path}/csi/csi.sock`],
    ] as const
  ) {
    await using driver = start(folder.path, { [variable]: value });
    assert.equal((await driver.ended()).code, 1);
    assert.match(driver.output, new RegExp(`of ${variable} does not exist`));
  }
  const entries = [...Deno.readDirSync(folder.path)].map(({ name }) => name);
  assert.deepEqual(entries.filter((name) => name !== "records"), []);
});
