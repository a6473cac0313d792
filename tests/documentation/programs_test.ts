import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:tls";
import { replaceFiles } from "../../src/driver/mount/atomic_directory.ts";
import { openLibc } from "../../src/shared/linux/libc.ts";
import { TestCa } from "../../scripts/support/test_ca.ts";
import { TextLineStream } from "../../scripts/support/text_line_stream.ts";
import { blocks, page } from "../support/documentation.ts";
import { temporaryFolder } from "../support/temporary_folder.ts";
import { testWith, type Workbench } from "../support/workbench.ts";

/** Writes a new pair as the driver does. */
async function renew(folder: string, ca: TestCa): Promise<void> {
  const { certificatePem, privateKeyPem } = await ca.issue("localhost");
  const contents = new Map([["tls.crt", certificatePem], ["tls.key", privateKeyPem]])
    .set("ca.crt", ca.certificatePem);
  using libc = openLibc();
  using directory = libc.openDirectory(folder);
  replaceFiles(directory, { contents, mode: 0o600, group: undefined });
}

/** The serial number of the certificate that a server shows to a client with a certificate. */
async function shownSerialNumber(port: number, ca: TestCa): Promise<string> {
  const { certificatePem: cert, privateKeyPem: key } = await ca.issue("client.test");
  const socket = connect({ port, host: "localhost", cert, key, ca: ca.certificatePem });
  await once(socket, "secureConnect");
  const { serialNumber } = socket.getPeerCertificate();
  socket.destroy();
  return serialNumber;
}

const text = page("docs/how-to/reload-certificates.md");

testWith(
  "node",
  "the server for Node in the how-to page shows the new certificate after a renewal",
  async () => {
    await using temporary = await temporaryFolder();
    const ca = await TestCa.create();
    const folder = `${temporary.path}/certs`;
    await Deno.mkdir(folder);
    await renew(folder, ca);
    const [code = ""] = blocks(text, "js");
    const script = code.replace("/etc/certs", folder)
      .replace(
        "server.listen(8443);",
        "server.listen(0, () => console.log(server.address().port));",
      );
    assert.notEqual(script, code);
    await using server = new Deno.Command("node", {
      args: ["--input-type=module", "-e", script],
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const lines = server.stdout.pipeThrough(new TextLineStream()).getReader();
    const port = Number((await lines.read()).value);
    const first = await shownSerialNumber(port, ca);
    await renew(folder, ca);
    const stopAt = performance.now() + 30_000;
    // Node reports the change of the folder when it gets to it.
    while (await shownSerialNumber(port, ca) === first) {
      assert.ok(performance.now() < stopAt, "the server still shows the first certificate");
    }
    await lines.cancel();
  },
);

/** Writes the page's program in a language into a file, and runs a command on that file. */
async function runOnProgram(
  bench: Workbench,
  [language, file]: [string, string],
  command: string,
  ...options: string[]
): Promise<{ success: boolean; output: string }> {
  const [code] = blocks(text, language);
  assert.ok(code, `the page has no program in ${language}`);
  await bench.write(file, code);
  return await bench.run(command, ...options, file);
}

testWith(
  "javac",
  "the class for Java in the how-to page compiles without a warning",
  async (bench) => {
    const file: [string, string] = ["java", "CurrentFiles.java"];
    const compiled = await runOnProgram(bench, file, "javac", "-Xlint:all", "-d", ".");
    assert.ok(compiled.success, compiled.output);
    assert.doesNotMatch(compiled.output, /warning/);
  },
);

testWith(
  "gofmt",
  "the program for Go in the how-to page is formatted as gofmt does",
  async (bench) => {
    const formatted = await runOnProgram(bench, ["go", "main.go"], "gofmt", "-d");
    assert.deepEqual(formatted, { success: true, output: "" });
  },
);
