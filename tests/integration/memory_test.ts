import assert from "node:assert/strict";
import { setInterval } from "node:timers/promises";
import { bundle } from "../../scripts/bundle.ts";
import { entryOf, programArguments } from "../../scripts/permissions.ts";
import { TextLineStream } from "../../scripts/support/text_line_stream.ts";

/** Bytes of a process that no file backs: memory that the kernel cannot reclaim by itself. */
async function anonymousMemory(pid: number): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

/** Resolves when a program has logged that it is ready; reads the log to its end. */
function ready(log: ReadableStream<Uint8Array>): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  (async () => {
    for await (const line of log.pipeThrough(new TextLineStream())) {
      if (line.includes('"event":"ready"')) resolve();
    }
    reject(new Error("the program ended"));
  })();
  return promise;
}

Deno.test("a driver that is ready has released the memory of parsing its program, also where nothing is cached", async () => {
  const folder = await Deno.makeTempDir({ prefix: "csi-cert-memory-" });
  try {
    const file = `${folder}/csi-driver.js`;
    await bundle(entryOf("csi-driver", "source"), file);
    await using driver = new Deno.Command(Deno.execPath(), {
      args: [...programArguments("csi-driver", "bundle").slice(0, -1), file],
      env: {
        // As in the image: Deno keeps no compiled code there.
        DENO_DIR: "/dev/null/none",
        CSI_ENDPOINT: `unix://${folder}/csi.sock`,
        CERT_SERVICE_ADDR: "http://127.0.0.1:1",
        CERT_BASE_PATH: `${folder}/records`,
        HEALTH_ADDR: "127.0.0.1:0",
        ALLOW_KEYS_ON_DISK: "true",
        LOG_FORMAT: "json",
      },
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    await ready(driver.stderr);
    let memory = 0;
    const options = { signal: AbortSignal.timeout(60_000) };
    try {
      // Without the release it is 40 MiB; an idle driver has 22.
      for await (const _ of setInterval(50, undefined, options)) {
        memory = await anonymousMemory(driver.pid);
        if (memory < 30 * 2 ** 20) break;
      }
    } catch {
      assert.fail(`${memory} bytes are still held`);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
