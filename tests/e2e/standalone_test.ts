import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { programArguments } from "../../scripts/permissions.ts";
import { kubectl, until } from "../../scripts/support/kubectl.ts";
import { records, volumeMounts } from "./support/node.ts";
import { driverName, Pod } from "./support/pods.ts";
import { documentedBlock } from "./support/documentation.ts";

const folder = "/run/standalone";
const deploy = fileURLToPath(new URL("../../deploy", import.meta.url));

/**
 * What the page describes for a kind node is done on this one: `docker exec` is running it here, with
 * nothing of the tests' own environment but a MIN_VALIDITY that lets a test see a renewal, and what is
 * to be copied to the node is there already.
 */
const docker = `docker() {
  test "$1" = exec || return 0
  shift
  local detached="" variables=()
  while test "$1" != "$node"; do
    case $1 in
      -d) detached=yes; shift ;;
      -e) variables+=("$2"); shift 2 ;;
    esac
  done
  shift
  if test -z "$detached"; then "$@"; return; fi
  env -i PATH="$PATH" HOME="$HOME" MIN_VALIDITY=10s "\${variables[@]}" "$@" >"$1.log" 2>&1 &
  started+=("$!")
}`;

/** Runs until its input ends; then ends what was started and prints the exit codes. */
const epilogue = `read -r _ || true
for id in "\${started[@]}"; do
  kill -TERM "$id"
  code=0
  wait "$id" || code=$?
  echo "ended with $code"
done`;

/** The documented commands: those that start the programs, and those that follow when they are ready. */
function commands(): [starting: string, using: string] {
  const block = documentedBlock("standalone");
  const here = block.replace(/^node=.*$/m, "node=e2e-node")
    .replaceAll("/etc/csi-cert-pki", `${folder}/pki`);
  const asking = /^docker exec \$node curl .*\n/m.exec(here);
  assert.ok(asking);
  return [here.slice(0, asking.index), here.slice(asking.index + asking[0].length)];
}

/** The folder that the commands run in, with the programs where a shell finds them. */
async function prepare(): Promise<void> {
  await Deno.mkdir(`${folder}/bin`, { recursive: true });
  await Deno.symlink(deploy, `${folder}/deploy`);
  for (const name of ["cert-service", "csi-driver"] as const) {
    const command = [Deno.execPath(), ...programArguments(name, "bundle")].join(" ");
    await Deno.writeTextFile(`${folder}/bin/${name}`, `#!/bin/sh\nexec ${command} "$@"\n`, {
      mode: 0o755,
    });
  }
}

function bash(script: string): Deno.ChildProcess {
  return new Deno.Command("bash", {
    args: ["-c", ["set -e", "started=()", docker, script].join("\n")],
    cwd: folder,
    env: { PATH: `${folder}/bin:${Deno.env.get("PATH")}` },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

async function logs(): Promise<string> {
  const names = ["cert-service", "csi-driver"];
  const texts = names.map((name) => Deno.readTextFile(`${folder}/${name}.log`).catch(() => ""));
  return (await Promise.all(texts)).join("\n");
}

async function isReady(port: number): Promise<boolean> {
  const response = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined);
  await response?.body?.cancel();
  return response?.status === 200;
}

Deno.test("as documented, both programs serve a kubelet as plain processes that never call the API", async () => {
  // Where this test runs alone, the product is installed.
  await kubectl(["delete", "-f", `${deploy}/base/csi-driver.yaml`, "--ignore-not-found"]);
  await prepare();
  const [starting, using] = commands();
  const programs = bash(`${starting}\n${epilogue}`);
  const ended = programs.output();
  try {
    await until("both are ready", async () => await isReady(9809) && await isReady(9808))
      .catch(async (error) => assert.fail(`${error}\n${await logs()}`));
    const shown = bash(`node=e2e-node\n${using}`);
    await shown.stdin.close();
    const { success, stderr } = await shown.output();
    assert.ok(success, new TextDecoder().decode(stderr));
    {
      await using example = new Pod({ name: "example" });
      await example.ready();
      assert.ok(await example.holdsPair("/etc/certs"));
      const status = bash("csi-driver status");
      await status.stdin.close();
      const table = new TextDecoder().decode((await status.output()).stdout);
      assert.match(table, /^default\/example\s.*\sok$/m);
      await using pod = await Pod.start({ name: "standalone", attributes: { duration: "10s" } });
      const { serialNumber } = await pod.certificate();
      await pod.renewed(serialNumber);
    }
    assert.deepEqual(await volumeMounts(), []);
    assert.deepEqual(await records(), []);
  } finally {
    await programs.stdin.close();
  }
  const { stdout, stderr } = await ended;
  const codes = new TextDecoder().decode(stdout).split("\n").filter((line) => /^ended/.test(line));
  assert.deepEqual(codes, ["ended with 0", "ended with 0"], new TextDecoder().decode(stderr));
  await kubectl(["delete", "csidriver", driverName]);
});
