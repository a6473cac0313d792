import assert from "node:assert/strict";
import { bundle } from "../../scripts/bundle.ts";
import { TestEnvironment } from "../../scripts/demo/test_environment.ts";
import { policy } from "../../scripts/demo/scenario.ts";
import { entryOf, programArguments } from "../../scripts/permissions.ts";
import { Program } from "../../scripts/support/programs.ts";
import {
  CertificateAdministration,
  CertificateService,
} from "../../src/shared/gen/certificate_service_pb.ts";
import { Health } from "../../src/shared/gen/health_pb.ts";
import { connect } from "../../src/shared/grpc_client/client.ts";
import { requiringTest } from "../support/requirement.ts";
import { temporaryFolder } from "../support/temporary_folder.ts";

/** Programs run as processes, with plain directories as volumes. */
function open(): Promise<TestEnvironment> {
  return TestEnvironment.withCa({ form: "source", plain: true }, policy);
}

/** Runs a command of cert-service to its end. */
async function run(socket: string, ...args: string[]) {
  await using program = new Program("cert-service", "source", { ADMIN_SOCKET: socket }, args);
  const { code } = await program.ended();
  return { code, output: program.output };
}

Deno.test("the commands' exit codes differ for success, failure and a wrong command line", async () => {
  await using environment = await open();
  await environment.startService();
  const check = ["check-policy", `${environment.base}/policy.yaml`, "--pod", "shop/web-0"];
  const uid = "7d1f7a3c-1f0e-4b5f-9d8e-2f6f5b1c9a11";
  const rows: [string[], number, RegExp][] = [
    [["list"], 0, /^POD +NODE +SERIAL +EXPIRES +STATE$/],
    [["list", "--output", "json"], 0, /^$/],
    [["revoke", "--pod-uid", uid, "--reason", "lost"], 0, /^pod \S+ gets no further certificate/],
    [
      ["revoke", "--pod-uid", "a"],
      2,
      /^cert-service: revoke: pod_uid: is "a", expected the uid of/,
    ],
    [
      ["get", "a1"],
      1,
      /^cert-service: get: no replica that answered has a certificate with serial number a1/,
    ],
    [["get"], 2, /^cert-service: get: expected one serial number\ncert-service: see .* --help$/],
    [
      ["list", "--nonsense"],
      2,
      /^cert-service: list: unknown option '--nonsense'\ncert-service: see .* --help$/,
    ],
    [check, 0, /^pod shop\/web-0 gets a certificate:\n/],
    [
      [...check, "--attribute", "dns-names=kubernetes.default.svc"],
      1,
      /^pod shop\/web-0 gets no certificate: .*kubernetes\.default\.svc/,
    ],
    [
      ["check-policy", `${environment.base}/none`, "--pod", "shop/web-0"],
      2,
      /^cert-service: check-policy: the policy file \/\S+\/none does not exist\n/,
    ],
    [["lost"], 2, /^cert-service: unknown command "lost"/],
  ];
  for (const [args, code, output] of rows) {
    const result = await run(environment.adminSocket, ...args);
    assert.equal(result.code, code, `${args}: ${result.output}`);
    assert.match(result.output, output);
  }
  const missing = await run(`${environment.base}/none.sock`, "list");
  assert.equal(missing.code, 1);
  assert.match(missing.output, /^cert-service: list: there is no socket \/.*none\.sock: /);
  const relative = await run("admin.sock", "list");
  assert.equal(relative.code, 2);
  assert.match(relative.output, /ADMIN_SOCKET="admin\.sock": expected an absolute path/);
});

Deno.test("list ends without an error when the reader of its output has ended", async () => {
  await using environment = await open();
  await environment.startService();
  const list = [...programArguments("cert-service", "source"), "list"]
    .map((word) => `'${word}'`).join(" ");
  const { code, stdout, stderr } = await new Deno.Command("bash", {
    args: ["-o", "pipefail", "-c", `'${Deno.execPath()}' ${list} | exec true`],
    env: { ADMIN_SOCKET: environment.adminSocket },
  }).output();
  const decoder = new TextDecoder();
  assert.deepEqual([code, decoder.decode(stdout), decoder.decode(stderr)], [0, "", ""]);
});

Deno.test("the drivers' port answers no administrator's call and no health check, and the socket no driver's call", async () => {
  await using environment = await open();
  const service = await environment.startService();
  const tcp = {
    address: `https://${(await service.ready()).address}`,
    trustBundle: () => Deno.readTextFileSync(`${environment.caDir}/tls.crt`),
    serverName: "cert-service.csi-cert-driver.internal",
  };
  const unimplemented = { code: 12 };
  using administration = connect(CertificateAdministration, tcp);
  await assert.rejects(Array.fromAsync(administration.listCertificates({})), unimplemented);
  using health = connect(Health, tcp);
  await assert.rejects(health.check({}), unimplemented);
  using driver = connect(CertificateService, { address: `unix://${environment.adminSocket}` });
  await assert.rejects(driver.reportCertificates({}), unimplemented);
});

Deno.test("a service replaces the socket of a killed one at its start, and never that of a running one", async () => {
  await using environment = await open();
  const first = await environment.startService();
  await assert.rejects(
    environment.startService({ LISTEN_ADDR: "127.0.0.1:0" }),
    /another process is serving .*admin\.sock/,
  );
  assert.equal((await run(environment.adminSocket, "list")).code, 0);
  await first.stop("SIGKILL");
  assert.ok((await Deno.lstat(environment.adminSocket)).isSocket);
  const unserved = await run(environment.adminSocket, "list");
  assert.equal(unserved.code, 1);
  assert.match(unserved.output, /no process serves the socket .*: cert-service has ended/);
  const second = await environment.startService();
  assert.equal((await run(environment.adminSocket, "list")).code, 0);
  assert.equal((await second.stop()).code, 0);
  await assert.rejects(Deno.lstat(environment.adminSocket), Deno.errors.NotFound);
});

requiringTest(
  "only the service's own user and root can call a socket in a directory that every user can write",
  { isMet: Deno.uid() === 0, reason: "needs root" },
  async () => {
    await using folder = await temporaryFolder();
    // As in the image: readable for every user, with an emptyDir at the socket's place.
    await Deno.chmod(folder.path, 0o755);
    const deno = `${folder.path}/deno`;
    await Deno.copyFile(Deno.execPath(), deno);
    const program = `${folder.path}/cert-service.js`;
    await bundle(entryOf("cert-service", "source"), program);
    await Deno.mkdir(`${folder.path}/run`);
    await Deno.chmod(`${folder.path}/run`, 0o777);
    const ca = await new Deno.Command(deno, {
      args: [...commandLine(program), "init-ca", "--out", `${folder.path}/ca`],
    }).output();
    assert.ok(ca.success);
    for (const path of ["ca", "ca/tls.key"]) await Deno.chown(`${folder.path}/${path}`, 65532, 0);
    const ADMIN_SOCKET = `${folder.path}/run/admin.sock`;
    const as = (uid: number, ...args: string[]) =>
      new Deno.Command(deno, {
        args: [...commandLine(program), ...args],
        uid,
        gid: uid,
        clearEnv: true,
        env: {
          ADMIN_SOCKET,
          DENO_DIR: "/dev/null/none",
          AUTHENTICATION: "none",
          CA_CERT_FILE: `${folder.path}/ca/tls.crt`,
          CA_KEY_FILE: `${folder.path}/ca/tls.key`,
          LISTEN_ADDR: "127.0.0.1:0",
          HEALTH_ADDR: "off",
        },
        stdin: "null",
        stdout: "piped",
        stderr: "piped",
      });
    await using service = as(65532).spawn();
    const log = service.stderr.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    while (!text.includes("ready on")) {
      const { value, done } = await log.read();
      assert.ok(!done, text);
      text += value;
    }
    const { mode, uid } = await Deno.lstat(ADMIN_SOCKET);
    assert.deepEqual([(mode ?? 0) & 0o777, uid], [0o600, 65532]);
    for (const uid of [65532, 0]) {
      const { code, stderr } = await as(uid, "list").output();
      assert.equal(code, 0, new TextDecoder().decode(stderr));
    }
    const otherUser = await as(65534, "list").output();
    assert.equal(otherUser.code, 1);
    assert.match(
      new TextDecoder().decode(otherUser.stderr),
      /^cert-service: list: cannot open the socket \/.*: permission denied; run the command as/,
    );
    service.kill("SIGKILL");
    await log.cancel();
    await service.stdout.cancel();
  },
);

function commandLine(program: string): string[] {
  return [...programArguments("cert-service", "bundle").slice(0, -1), program];
}
