/** Both entries, as they ship, when a promise rejects or a listener throws and no code handles it. */
import assert from "node:assert/strict";
import { programArguments, type ProgramName } from "../../scripts/permissions.ts";
import { TextLineStream } from "../../scripts/support/text_line_stream.ts";
import { temporaryFolder } from "../support/temporary_folder.ts";

const preload = new URL("unhandled_errors_preload.ts", import.meta.url).pathname;

async function environments(folder: string): Promise<Record<ProgramName, Record<string, string>>> {
  const initCa = new Deno.Command(Deno.execPath(), {
    args: [...programArguments("cert-service", "source"), "init-ca", "--out", `${folder}/ca`],
    stdout: "null",
    stderr: "null",
  });
  assert.equal((await initCa.output()).code, 0);
  return {
    "cert-service": {
      LISTEN_ADDR: "127.0.0.1:0",
      AUTHENTICATION: "none",
      CA_CERT_FILE: `${folder}/ca/tls.crt`,
      CA_KEY_FILE: `${folder}/ca/tls.key`,
    },
    "csi-driver": {
      CSI_ENDPOINT: `unix://${folder}/csi.sock`,
      REGISTRATION_DIR: folder,
      CERT_SERVICE_ADDR: "http://127.0.0.1:9",
      CERT_BASE_PATH: `${folder}/records`,
      ALLOW_KEYS_ON_DISK: "true",
      NODE_ID: "node-1",
    },
  };
}

for (const name of ["cert-service", "csi-driver"] as const) {
  Deno.test(`${name} logs and counts errors that no code handles, and continues`, async () => {
    await using folder = await temporaryFolder();
    const [run = "", ...args] = programArguments(name, "source");
    const process = new Deno.Command(Deno.execPath(), {
      args: [run, "--preload", preload, ...args],
      env: {
        ...(await environments(folder.path))[name],
        HEALTH_ADDR: "127.0.0.1:0",
        LOG_FORMAT: "json",
      },
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const lines: string[] = [];
    let healthAddress = "";
    for await (const line of process.stderr.pipeThrough(new TextLineStream())) {
      lines.push(line);
      const record = JSON.parse(line);
      if (record.event === "ready") {
        healthAddress = record.healthAddress;
        process.kill("SIGUSR2");
      }
      if (/a timer threw/.test(line)) break;
    }
    assert.ok(healthAddress, lines.join("\n"));
    const log = lines.join("\n");
    assert.match(log, /unhandled (rejection|exception)/);
    assert.match(log, /"unlogged":2/, log);
    assert.doesNotMatch(log, /MIGHAgEA|eyJzdWIi|c2lnc2ln/);
    const metrics = await (await fetch(`http://${healthAddress}/metrics`)).text();
    assert.match(metrics, /^unhandled_errors_total\{kind="rejection"\} 2$/m);
    assert.match(metrics, /^unhandled_errors_total\{kind="exception"\} 2$/m);
    process.kill("SIGTERM");
    assert.equal((await process.status).code, 0);
  });
}
