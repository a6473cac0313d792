import assert from "node:assert/strict";
import { Registration } from "../../../src/shared/gen/plugin_registration_pb.ts";
import { connect } from "../../../src/shared/grpc_client/client.ts";
import { serveUnix } from "../../../src/shared/grpc_server/server.ts";
import { requireSocketDirectory } from "../../../src/shared/grpc_server/unix_socket.ts";
import { stubService } from "../../support/stub_service.ts";
import { temporaryFolder } from "../../support/temporary_folder.ts";

function named(name: string) {
  return { services: [stubService(Registration, { getInfo: () => Promise.resolve({ name }) })] };
}

async function nameServedAt(path: string): Promise<string> {
  using client = connect(Registration, { address: `unix://${path}` });
  return (await client.getInfo({}, { timeoutMs: 30_000 })).name;
}

const filesIn = (folder: string) => [...Deno.readDirSync(folder)].map(({ name }) => name);

Deno.test("the socket has its mode, and both ends leave nothing else behind", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/plugins/csi.sock`;
  Deno.mkdirSync(`${folder.path}/plugins`);
  {
    await using server = await serveUnix(path, named("a"));
    assert.equal(Deno.statSync(server.path).mode! & 0o777, 0o600);
    assert.deepEqual(filesIn(`${folder.path}/plugins`), ["csi.sock"]);
  }
  assert.deepEqual(filesIn(`${folder.path}/plugins`), []);
  await using _server = await serveUnix(path, named("b"));
  assert.equal(await nameServedAt(path), "b");
});

Deno.test("the socket of a process that has ended is replaced", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/csi.sock`;
  // Closing removes the name that was listened at, so the file outlives it under another.
  const dead = Deno.listen({ transport: "unix", path: `${folder.path}/dead` });
  Deno.renameSync(`${folder.path}/dead`, path);
  dead.close();
  assert.ok(Deno.lstatSync(path).isSocket);
  await using _server = await serveUnix(path, named("new"));
  assert.equal(await nameServedAt(path), "new");
});

Deno.test("a socket that another process serves is refused and remains", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/csi.sock`;
  await using _first = await serveUnix(path, named("first"));
  await assert.rejects(serveUnix(path, named("second")), {
    message: `another process is serving ${path}`,
  });
  assert.equal(await nameServedAt(path), "first");
  assert.deepEqual(filesIn(folder.path), ["csi.sock"]);
});

Deno.test("a file, a folder or a link at the path is an error and remains", async () => {
  await using folder = await temporaryFolder();
  Deno.writeTextFileSync(`${folder.path}/file`, "precious");
  Deno.mkdirSync(`${folder.path}/folder`);
  Deno.symlinkSync("file", `${folder.path}/link`);
  for (const name of ["file", "folder", "link"]) {
    await assert.rejects(
      serveUnix(`${folder.path}/${name}`, named("x")),
      /exists and is not a socket: remove it or choose another path/,
    );
  }
  assert.deepEqual(filesIn(folder.path).sort(), ["file", "folder", "link"]);
  assert.equal(Deno.readTextFileSync(`${folder.path}/file`), "precious");
});

Deno.test("a path too long for a socket is refused by its length", async () => {
  await assert.rejects(serveUnix(`/${"x".repeat(107)}`, named("x")), /longer than the 107 bytes/);
  const directory = `/${"x".repeat(97)}`;
  await assert.rejects(
    serveUnix(`${directory}/s`, named("x")),
    {
      message:
        `${directory} is longer than the 97 bytes that the directory of a served unix socket may have`,
    },
  );
});

Deno.test("a socket in a directory of the longest length is served", async () => {
  await using folder = await temporaryFolder();
  const directory = `${folder.path}/${"d".repeat(96 - folder.path.length)}`;
  Deno.mkdirSync(directory);
  await using _server = await serveUnix(`${directory}/s`, named("x"));
  assert.equal(await nameServedAt(`${directory}/s`), "x");
});

Deno.test("a server notices that its socket was removed or replaced", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/csi.sock`;
  await using server = await serveUnix(path, named("x"));
  assert.equal(server.isPublished(), true);
  Deno.renameSync(path, `${path}-elsewhere`);
  assert.equal(server.isPublished(), false);
  Deno.writeTextFileSync(path, "");
  assert.equal(server.isPublished(), false);
  Deno.renameSync(`${path}-elsewhere`, path);
  assert.equal(server.isPublished(), true);
});

Deno.test("a directory that does not exist is an error, and is not made", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/missing/csi.sock`;
  await assert.rejects(serveUnix(path, named("x")), /cannot listen on/);
  assert.throws(() => requireSocketDirectory(path, "CSI_ENDPOINT"), {
    message: `the directory ${folder.path}/missing of CSI_ENDPOINT does not exist: mount the ` +
      "kubelet's directory there, or correct CSI_ENDPOINT",
  });
  assert.deepEqual(filesIn(folder.path), []);
  Deno.writeTextFileSync(`${folder.path}/missing`, "");
  assert.throws(() => requireSocketDirectory(path, "CSI_ENDPOINT"), /does not exist/);
  assert.throws(() => requireSocketDirectory(`${path}/below.sock`, "CSI_ENDPOINT"), {
    message: `the directory ${path} of CSI_ENDPOINT cannot be read: Not a directory (os error 20)` +
      "; correct CSI_ENDPOINT",
  });
  Deno.removeSync(`${folder.path}/missing`);
  Deno.mkdirSync(`${folder.path}/missing`);
  requireSocketDirectory(path, "CSI_ENDPOINT");
});

Deno.test("stopping does not remove the socket that a successor has put at the path", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/csi.sock`;
  const old = await serveUnix(path, named("old"));
  // A successor that starts while the old process still serves takes the path over by force.
  Deno.removeSync(path);
  await using _successor = await serveUnix(path, named("successor"));
  await old[Symbol.asyncDispose]();
  assert.equal(await nameServedAt(path), "successor");
});

Deno.test("a socket that was removed does not prevent stopping", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/csi.sock`;
  const server = await serveUnix(path, named("x"));
  Deno.removeSync(path);
  await server[Symbol.asyncDispose]();
});
