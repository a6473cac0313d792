import { status } from "@grpc/grpc-js";
import assert from "node:assert/strict";
import { mountsBelow, TestEnvironment } from "../../scripts/demo/test_environment.ts";
import { RpcError } from "../../src/shared/grpc/rpc_error.ts";
import { type Certificate, readCertificates } from "../../src/shared/x509/certificate.ts";
import { derivePublicKey } from "../../src/shared/crypto/key_pairs.ts";
import type { PodVolume } from "../../scripts/support/kubelet.ts";
import { canMount } from "../../scripts/support/can_mount.ts";

export const steppable = new URL("steppable_driver.ts", import.meta.url).pathname;

/** Programs run as processes, in a private mount namespace. */
export function openEnvironment(options = { plain: false }): Promise<TestEnvironment> {
  return TestEnvironment.withCa({ form: "source", ...options });
}

/** A test of faults in an environment of its own; ignored where nothing can be mounted and volumes are mounts. */
export function faultTest(
  name: string,
  test: (environment: TestEnvironment) => Promise<void>,
  options = { plain: false },
): void {
  Deno.test({
    name,
    ignore: !canMount && !options.plain,
    async fn() {
      await using environment = await openEnvironment(options);
      await test(environment);
    },
  });
}

export function admit(environment: TestEnvironment, name = "web-0"): PodVolume {
  return environment.kubelet.admit({ name, namespace: "shop" });
}

/** The leaf that a pod sees; throws unless it has its own key and a trust bundle. */
export async function wholePair({ targetPath }: PodVolume): Promise<Certificate> {
  const generation = `${targetPath}/${await Deno.readLink(`${targetPath}/..data`)}`;
  const leaf = readCertificates(await Deno.readTextFile(`${generation}/tls.crt`))?.[0];
  assert.ok(leaf, "tls.crt is a certificate");
  const publicKey = await derivePublicKey(await Deno.readTextFile(`${generation}/tls.key`));
  assert.deepEqual(publicKey, leaf.spki, "the key is the certificate's");
  assert.ok(readCertificates(await Deno.readTextFile(`${generation}/ca.crt`))?.length);
  return leaf;
}

/** The entries of CERT_BASE_PATH, the driver's own hidden entries left out. */
export function recordNames(environment: TestEnvironment): string[] {
  return [...Deno.readDirSync(environment.recordsDir)].map(({ name }) => name)
    .filter((name) => !name.startsWith("."));
}

export function recordPath(environment: TestEnvironment, { volumeId }: PodVolume): string {
  const name = recordNames(environment).find((name) => name.endsWith(volumeId));
  return `${environment.recordsDir}/${name}/volume.json`;
}

/** Throws unless each of these volumes has one mount, or none where volumes are plain directories, and no other has one. */
export async function assertMounts(
  { kubelet, options }: TestEnvironment,
  volumes: readonly PodVolume[],
): Promise<void> {
  const targets = options.plain ? [] : volumes.map(({ targetPath }) => targetPath);
  const mounts = await mountsBelow(kubelet.root);
  assert.deepEqual(mounts.sort(), targets.sort(), "one mount for each");
}

/** Throws unless exactly these volumes are there: each whole, with one mount and one record, and nothing else. */
export async function assertExactly(
  environment: TestEnvironment,
  volumes: readonly PodVolume[],
): Promise<void> {
  await assertMounts(environment, volumes);
  // A running driver has its staging area, with nothing in it.
  const stagingDir = `${environment.recordsDir}/.staging`;
  const own = (await mountsBelow(environment.recordsDir)).filter((path) => path !== stagingDir);
  assert.deepEqual(own, [], "no other mount of the driver's own is left");
  assert.deepEqual([...Deno.readDirSync(stagingDir)], [], "the staging area is empty");
  for (const volume of volumes) {
    const leaf = await wholePair(volume);
    const record = JSON.parse(await Deno.readTextFile(recordPath(environment, volume)));
    assert.equal(record.serialNumber, leaf.serialNumber, "the record is of this certificate");
    assertNoOtherFiles(volume);
  }
  const records = recordNames(environment);
  assert.equal(records.length, volumes.length, `records: ${records}`);
  for (const name of records) {
    const files = [...Deno.readDirSync(`${environment.recordsDir}/${name}`)].map(({ name }) =>
      name
    );
    assert.deepEqual(files.sort(), ["tls.crt", "volume.json"]);
  }
}

/** The files, the link to their directory, and at most one previous one. */
function assertNoOtherFiles({ targetPath }: PodVolume): void {
  const names = [...Deno.readDirSync(targetPath)].map(({ name }) => name);
  const isSet = (name: string) => /^\.\.[0-9a-f]{16}$/.test(name);
  const others = names.filter((name) => !isSet(name));
  assert.deepEqual(others.sort(), ["..data", "ca.crt", "tls.crt", "tls.key"]);
  assert.ok(names.filter(isSet).length <= 2, names.join(", "));
}

/** Unpublishes these volumes, the only ones, and verifies that nothing remains of them. */
export async function unpublishAll(
  environment: TestEnvironment,
  volumes: readonly PodVolume[],
): Promise<void> {
  for (const volume of volumes) await unpublishWhenFree(environment, volume);
  await assertExactly(environment, []);
}

/** Calls again, as the kubelet does, while a renewal whose record can be read already ends. */
async function unpublishWhenFree(
  { kubelet }: TestEnvironment,
  volume: PodVolume,
): Promise<void> {
  const deadline = performance.now() + 10_000;
  for (;;) {
    try {
      return await kubelet.unpublish(volume);
    } catch (error) {
      const isBusy = error instanceof RpcError && error.code === status.ABORTED;
      if (!isBusy || performance.now() > deadline) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** Polls until the check does not throw; rejects with its last error after `ms`. */
export async function eventually(check: () => Promise<void>, ms = 10_000): Promise<void> {
  const deadline = performance.now() + ms;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/**
 * Whether Deno itself ended the program: its HTTP/2 aborts now and then when a peer closes a connection
 * (denoland/deno#36788). To a test that is one more kill at a random step.
 */
export function isRuntimeAbort({ signal }: Deno.CommandStatus): boolean {
  if (signal !== "SIGABRT" && signal !== "SIGSEGV") return false;
  console.log(
    `    ${signal} by the runtime's HTTP/2 (denoland/deno#36788), counted as one more kill`,
  );
  return true;
}

const transient: ReadonlySet<number> = new Set([status.UNAVAILABLE, status.ABORTED]);

/** As the kubelet does: repeats a call that fails for the moment after 0.6 s, a limited number of times. */
export async function retried(action: () => Promise<void>): Promise<void> {
  for (let attempt = 1;; attempt++) {
    try {
      return await action();
    } catch (error) {
      if (!(error instanceof RpcError && transient.has(error.code)) || attempt > 20) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 600));
  }
}

/** Times until something was whole again, reported at the end of a test. */
export class Recoveries {
  readonly #ms: number[] = [];

  async time<T>(action: () => Promise<T>): Promise<T> {
    const started = performance.now();
    const result = await action();
    this.#ms.push(performance.now() - started);
    return result;
  }

  report(what: string): void {
    const sorted = this.#ms.toSorted((left, right) => left - right);
    const shown = (ms = 0) => `${(ms / 1000).toFixed(2)} s`;
    console.log(
      `    ${sorted.length} times ${what}; whole again after ${
        shown(sorted[sorted.length >> 1])
      } (median), ${shown(sorted.at(-1))} (longest)`,
    );
  }
}

/** Makes a volume's renewal due when the driver starts: as if 90 % of its certificate's lifetime had passed. */
export async function makeDue(environment: TestEnvironment, volume: PodVolume): Promise<void> {
  const path = recordPath(environment, volume);
  const record = JSON.parse(await Deno.readTextFile(path));
  const lifetimeMs = Date.parse(record.notAfter) - Date.now();
  record.issuedAt = new Date(Date.now() - 0.9 * lifetimeMs).toISOString();
  await Deno.writeTextFile(path, JSON.stringify(record));
}

/** Whether the certificate of a record is not one that was made due. */
export function isRecent(record: { readonly issuedAt: string }): boolean {
  return Date.parse(record.issuedAt) > Date.now() - 3_600_000;
}

export async function run(command: string, ...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(command, { args }).output();
  if (!success) {
    throw new Error(`${command} ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  }
}

/** What /readyz answers. */
export async function readiness(healthAddress: string): Promise<{ status: number; text: string }> {
  const response = await fetch(`http://${healthAddress}/readyz`);
  return { status: response.status, text: await response.text() };
}
