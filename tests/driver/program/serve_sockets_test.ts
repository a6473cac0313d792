import assert from "node:assert/strict";
import {
  requireSocketDirectories,
  serveSockets,
} from "../../../src/driver/program/serve_sockets.ts";
import { Metrics } from "../../../src/shared/telemetry/metrics.ts";
import { driverName } from "../../../src/shared/text/product_names.ts";
import { TestNode } from "../../support/node.ts";
import { temporaryFolder } from "../../support/temporary_folder.ts";

Deno.test("the error about a socket's missing directory names the socket's variable", async () => {
  await using folder = await temporaryFolder();
  const check = (csi: string, registry: string) => {
    const socketPath = `${folder.path}/${csi}/csi.sock`;
    const registration = {
      directory: `${folder.path}/${registry}`,
      kubeletSocketPath: socketPath,
    };
    requireSocketDirectories({ socketPath, registration });
  };
  await Deno.mkdir(`${folder.path}/there`);
  check("there", "there");
  assert.throws(() => check("there", "missing"), /missing of REGISTRATION_DIR does not exist/);
  assert.throws(() => check("missing", "there"), /missing of CSI_ENDPOINT does not exist/);
});

Deno.test("a driver is not live while one of its sockets is removed or replaced, and the socket is named", async () => {
  await using folder = await temporaryFolder();
  await using node = await TestNode.create();
  await using resources = new AsyncDisposableStack();
  const csi = `${folder.path}/csi.sock`;
  const registration = `${folder.path}/${driverName}-reg.sock`;
  const sockets = await serveSockets(
    {
      nodeId: "node-1",
      socketPath: csi,
      registration: { directory: folder.path, kubeletSocketPath: csi },
    },
    { version: "1", metrics: new Metrics() },
    { publisher: node.publisher, onActivity: () => {} },
    resources,
  );
  assert.deepEqual(sockets.live(), { ok: true, detail: "serving" });
  await Deno.remove(registration);
  const lost = (paths: string) => ({
    ok: false,
    detail: `another process removed or replaced ${paths}: restart the driver`,
  });
  assert.deepEqual(sockets.live(), lost(registration));
  await Deno.remove(csi);
  assert.deepEqual(sockets.live(), lost(`${csi} and ${registration}`));
});
