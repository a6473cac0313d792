import assert from "node:assert/strict";
import {
  type CommandEnvironment,
  getCommand,
  listCommand,
  nodesCommand,
  revokeCommand,
} from "../../../src/service/admin/certificate_commands.ts";
import type { CommandResult } from "../../../src/service/admin/command_result.ts";
import type { MissingReplica } from "../../../src/service/peers/peers.ts";
import { administrationService } from "../../../src/service/api/administration_service.ts";
import { CertificateAdministration } from "../../../src/shared/gen/certificate_service_pb.ts";
import { registerService, serveUnix } from "../../../src/shared/grpc_server/server.ts";
import { yieldToEventLoop } from "../../../src/shared/scheduler/event_loop_yield.ts";
import { issued, openTestService, pod, start } from "../../support/service_fixture.ts";
import { readRevocation } from "../../support/revocation_output.ts";
import { temporaryFolder } from "../../support/temporary_folder.ts";
import { entryOf } from "../../support/inventory_entries.ts";

const node = { kind: "node", node: "node-1" } as const;
const expires = "2026-03-08T12:00:00Z";

/** A service on its local socket, and the commands with what they print. */
async function open({ missing = [] }: { missing?: readonly MissingReplica[] } = {}) {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await temporaryFolder());
  const parts = stack.use(await openTestService());
  const socket = `${folder.path}/admin.sock`;
  const { replicas } = parts;
  const implementation = administrationService({
    ...parts,
    replicas: {
      find: async (serialNumber) => ({ ...await replicas.find(serialNumber), missing }),
      list: async (message) => ({ ...await replicas.list(message), missing }),
      nodes: async () => ({ ...await replicas.nodes(), missing }),
    },
  });
  const server = stack.use(
    await serveUnix(socket, {
      services: [registerService(CertificateAdministration, implementation)],
      graceMs: 100,
    }),
  );
  const commands = {
    list: listCommand,
    nodes: nodesCommand,
    get: getCommand,
    revoke: revokeCommand,
  };
  const kept = stack.move();
  return {
    ...parts,
    server,
    socket,
    /** Runs a command; what it printed is in the result. */
    async run(name: keyof typeof commands, ...args: string[]) {
      let printed = "";
      const write = (text: string) => Promise.resolve(void (printed += text));
      const result = await commands[name](args, { socket, write });
      if (result.kind === "done") return { ...result, output: printed + result.output };
      return result.kind === "failed" ? { ...result, printed } : result;
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

function outputOf(result: CommandResult): string {
  assert(result.kind === "done", JSON.stringify(result));
  assert.equal(result.exitCode, 0);
  return result.output;
}

Deno.test("list prints a table, filtered by namespace, pod or node", async () => {
  await using service = await open();
  const other = { ...pod, name: "web-long-name-1", uid: "11111111-2222-4333-8444-555555555555" };
  const [one, two] = [
    issued(await service.ask({}, node)).serialNumber,
    issued(await service.ask({ pod: other })).serialNumber,
  ];
  await service.revocation.revoke(other.uid);
  assert.deepEqual(outputOf(await service.run("list")).split("\n"), [
    "POD                   NODE    SERIAL                            EXPIRES               STATE",
    `shop/web-0            node-1  ${one}  ${expires}  ok`,
    `shop/web-long-name-1  -       ${two}  ${expires}  revoked`,
    "",
  ]);
  const none = outputOf(await service.run("list", "--node", "none"));
  assert.equal(none, "POD  NODE  SERIAL  EXPIRES  STATE\n");
  const serials = async (...args: string[]) =>
    outputOf(await service.run("list", ...args)).match(/[0-9a-f]{32}/g) ?? [];
  assert.deepEqual(await serials("-n", "shop"), [one, two]);
  assert.deepEqual(await serials("--namespace", "bank"), []);
  assert.deepEqual(await serials("--pod", "web-0"), [one]);
  assert.deepEqual(await serials("--pod", other.uid), [two]);
  assert.deepEqual(await serials("--node", "node-1"), [one]);
});

Deno.test("list prints one JSON object a line, and get prints the same object", async () => {
  await using service = await open();
  const { serialNumber } = issued(await service.ask({}, node));
  const text = outputOf(await service.run("list", "-o", "json"));
  assert.deepEqual(JSON.parse(text), {
    serialNumber,
    namespace: "shop",
    podName: "web-0",
    podUid: pod.uid,
    serviceAccount: "web",
    node: "node-1",
    volumeId: "csi-1",
    commonName: "web-0.shop.svc.cluster.local",
    dnsNames: ["web-0.shop.svc.cluster.local", "web-0"],
    ipAddresses: [],
    uris: [],
    notBefore: "2026-03-01T11:55:00Z",
    notAfter: expires,
    predecessor: null,
    revokedAt: null,
    state: "current",
    nodeSilent: false,
  });
  assert.equal(outputOf(await service.run("get", serialNumber, "--output", "json")), text);
});

const report = {
  reportId: "r",
  part: 0,
  isLast: true,
  volumeIds: [],
  released: [],
  driverVersion: "1.2.3",
  clockSkewMs: 95_000,
};

Deno.test("nodes prints the nodes that report, with the driver's version and the clock", async () => {
  await using service = await open();
  assert.equal(
    outputOf(await service.run("nodes")),
    "NODE  DRIVER  LAST REPORT  CLOCK  VOLUMES  STATE\n",
  );
  await service.nodes.receive("node-1", { ...report, volumeIds: ["csi-1", "csi-2"] });
  await service.clock.advance({ minutes: 16 });
  await service.nodes.receive("old", {
    ...report,
    reportId: undefined,
    driverVersion: undefined,
    clockSkewMs: undefined,
  });
  assert.equal(
    outputOf(await service.run("nodes")),
    "NODE    DRIVER  LAST REPORT           CLOCK        VOLUMES  STATE\n" +
      "node-1  1.2.3   2026-03-01T12:00:00Z  95 s behind  2        silent\n" +
      "old     -       2026-03-01T12:16:00Z  -            -        ok\n",
  );
  const [line] = outputOf(await service.run("nodes", "-o", "json")).split("\n");
  assert.deepEqual(JSON.parse(line ?? ""), {
    name: "node-1",
    lastReportAt: "2026-03-01T12:00:00Z",
    silent: true,
    driverVersion: "1.2.3",
    clockSkewSeconds: 95,
    volumes: 2,
  });
});

Deno.test("list states what is overdue and silent, and shows what is released with --all only", async () => {
  await using service = await open();
  const { serialNumber } = issued(await service.ask({ attributes: { duration: "1h" } }, node));
  await service.clock.advance({ minutes: 5 });
  await service.nodes.receive("node-1", { ...report, volumeIds: ["csi-1"] });
  await service.clock.advance({ minutes: 50 });
  assert.match(outputOf(await service.run("list")), /Z {2}overdue, node silent$/m);
  await service.nodes.receive("node-1", report);
  assert.doesNotMatch(outputOf(await service.run("list")), /shop\/web-0/);
  assert.match(outputOf(await service.run("list", "--all")), /Z {2}released$/m);
  assert.match(outputOf(await service.run("get", serialNumber)), /^state {12}released$/m);
});

Deno.test("get prints all properties, and accepts a serial number in openssl's format", async () => {
  await using service = await open();
  const { serialNumber } = issued(await service.ask({}, node));
  const details = outputOf(await service.run("get", serialNumber));
  assert.match(details, new RegExp(`^serial number {4}${serialNumber}\n`));
  assert.match(details, /^pod {14}shop\/web-0$/m);
  assert.match(details, /^DNS names {8}web-0\.shop\.svc\.cluster\.local, web-0$/m);
  assert.match(details, new RegExp(`^valid until {6}${expires}$`, "m"));
  assert.doesNotMatch(details, /revoked|URIs|undefined/);
  const bytes = serialNumber.toUpperCase().match(/../g)!.join(":");
  assert.equal(outputOf(await service.run("get", bytes)), details);
});

Deno.test("a replica that does not answer makes list, nodes and get fail after what is known is printed", async () => {
  const missing = [{ address: "10.0.0.3:50051", reason: "no answer" }];
  await using service = await open({ missing });
  const { serialNumber } = issued(await service.ask({}, node));
  await service.nodes.receive("node-1", { ...report, volumeIds: ["csi-1"] });
  const rows: [Parameters<typeof service.run>, RegExp, string][] = [
    [["list"], new RegExp(`web-0 .*${serialNumber}`), "certificates are missing"],
    [["list", "-n", "bank"], /^POD .*STATE\n$/, "certificates are missing"],
    [["nodes"], /^node-1 /m, "nodes are missing"],
    [["get", serialNumber], new RegExp(serialNumber), "a newer certificate may exist"],
  ];
  for (const [call, printed, consequence] of rows) {
    const result = await service.run(...call);
    assert("printed" in result, JSON.stringify(result));
    assert.match(result.printed, printed);
    const problem = `${consequence}: these replicas did not answer: 10.0.0.3:50051 (no answer)`;
    assert.equal(result.problem, problem);
  }
});

Deno.test("revoke accepts a pod, a certificate or a node, and prints the consequence", async () => {
  await using service = await open();
  const { serialNumber } = issued(await service.ask({}, node));
  const printed = outputOf(
    await service.run("revoke", "--serial", serialNumber, "--reason", "stolen"),
  );
  assert.equal(
    printed,
    `pod shop/web-0 (${pod.uid}) gets no further certificate; ` +
      "its certificates expire at 2026-03-31T12:05:00Z at the latest\n",
  );
  // The suites on a cluster read the text with this function.
  const validUntil = new Date("2026-03-31T12:05:00Z");
  assert.deepEqual(readRevocation(printed), { podUid: pod.uid, validUntil });
  assert.equal((await service.ask()).kind, "denied");
  const unknown = "11111111-2222-4333-8444-555555555555";
  const warned = outputOf(await service.run("revoke", "--pod-uid", unknown));
  assert.equal(
    warned,
    `pod ${unknown} gets no further certificate; its certificates expire at ` +
      "2026-03-31T12:05:00Z at the latest\nno replica that answered has issued a certificate to a " +
      "pod with this uid: check the uid; the revocation applies in any case\n",
  );
  assert.deepEqual(readRevocation(warned), { podUid: unknown, validUntil });
  assert.match(
    outputOf(await service.run("revoke", "--node", "node-1")),
    /^the certificates that node node-1 has are rejected from now on/,
  );
  assert.equal(service.nodeRevocation.isDenied("node-1", start.subtract({ minutes: 10 })), true);
});

Deno.test("a wrong command line is refused, and an unknown certificate is a failure", async () => {
  await using service = await open();
  const rows: [Parameters<typeof service.run>, CommandResult["kind"], RegExp][] = [
    [["list", "-o", "yaml"], "refused", /--output is "yaml"; expected table or json/],
    [["list", "-n", "Shop"], "refused", /namespace: is "Shop", expected/],
    [["get"], "refused", /expected one serial number/],
    [["get", "a1", "a2"], "refused", /expected one serial number/],
    [["get", "zz"], "refused", /serial_number: is "zz"/],
    [["get", "a1", "-o", "yaml"], "refused", /--output is "yaml"/],
    [["get", "a1"], "failed", /no replica that answered has a certificate with serial number a1/],
    [["revoke"], "refused", /expected one of --pod-uid UID, --serial SERIAL and --node NAME/],
    [["revoke", "--node", "a", "--serial", "b"], "refused", /expected one of/],
    [["revoke", "--serial", "a1"], "failed", /no replica that answered has a certificate/],
    [["revoke", "--node", "a", "--reason", "x\n"], "refused", /reason: .*printable/],
  ];
  for (const [call, kind, message] of rows) {
    const result = await service.run(...call);
    assert.equal(result.kind, kind, call.join(" "));
    const text = result.kind === "refused"
      ? result.problems.join()
      : result.kind === "failed"
      ? result.problem
      : "";
    assert.match(text, message);
  }
  await assert.rejects(service.run("list", "--colour"), /--colour/);
});

Deno.test("a socket that is missing or not served is named with a suggestion", async () => {
  await using folder = await temporaryFolder();
  const environment = (socket: string): CommandEnvironment => ({
    socket,
    write: () => Promise.resolve(),
  });
  const problem = async (socket: string) => {
    const result = await listCommand([], environment(socket));
    assert(result.kind === "failed", JSON.stringify(result));
    return result.problem;
  };
  const path = `${folder.path}/admin.sock`;
  const missing = await problem(path);
  assert.match(missing, /^there is no socket \/.*admin\.sock: no cert-service .* runs here/);
  assert.match(missing, /run the command in the service's container, or set ADMIN_SOCKET/);
  // A socket whose listener is gone, as a killed service leaves it.
  const left = Deno.listen({ transport: "unix", path });
  left.close();
  await Deno.stat(path).catch(() => Deno.writeTextFile(path, ""));
  assert.match(await problem(path), /^no process serves the socket \/.*: cert-service has ended/);
});

Deno.test("a service that stops during a list makes the command fail", async () => {
  await using service = await open();
  issued(await service.ask());
  await fill(service, 20_000);
  const result = await listCommand([], {
    socket: service.socket,
    write: async (text) => {
      if (text.includes("shop/")) await service.server[Symbol.asyncDispose]();
    },
  });
  assert.equal(result.kind, "failed", JSON.stringify(result));
});

Deno.test("a long list is read no faster than it is printed", async () => {
  await using service = await open();
  issued(await service.ask());
  await fill(service, 40_000);
  const pages = service.inventory.pages.bind(service.inventory);
  let read = 0;
  service.inventory.pages = async function* () {
    for await (const page of pages()) {
      read += page.length;
      yield page;
    }
  };
  const blocked = Promise.withResolvers<void>();
  let printed = 0;
  const write = async (text: string) => {
    printed += text.split("\n").length - 1;
    if (printed > 1) await blocked.promise;
  };
  const listing = listCommand([], { socket: service.socket, write });
  // Until the buffers are full: nothing more is read however often the event loop turns.
  for (let before = -1; read !== before || read === 0;) {
    before = read;
    for (let turn = 0; turn < 2_000; turn++) await yieldToEventLoop();
  }
  assert(read < 15_000, `${read} were read while the first page was printed`);
  blocked.resolve();
  outputOf(await listing);
  assert.equal(printed, 40_002);
});

/** Adds certificates that differ in their serial numbers and their pods' uids alone. */
async function fill({ inventory }: Awaited<ReturnType<typeof open>>, count: number): Promise<void> {
  const [template] = (await Array.fromAsync(inventory.pages())).flat();
  for (let n = 0; n < count; n++) {
    const pod = { ...template!.pod, uid: `pod-${n}` };
    inventory.add({ ...entryOf(template!), pod, serialNumber: n.toString(16).padStart(32, "0") });
  }
}
