import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { PublishTimes } from "./support/call_times.ts";
import { system } from "../../scripts/support/install.ts";
import { apply, getJson, kubectl } from "../../scripts/support/kubectl.ts";
import { records, volumeDirectories, volumeMounts } from "./support/node.ts";
import { podObject } from "./support/pods.ts";

/** Starts this many pods at once and returns how long it takes until all are ready. */
async function crowd(size: number, plain: boolean): Promise<number> {
  const options = Array.from({ length: size }, (_, index) => ({ name: `crowd-${index}`, plain }));
  const started = performance.now();
  await apply(...options.map(podObject));
  await kubectl(["wait", "--for=condition=Ready", "pod", "-l", "app=e2e", "--timeout=300s"]);
  return (performance.now() - started) / 1000;
}

/** The mean of what the API server has as the time from a pod's creation until it was ready. */
async function meanReadySeconds(): Promise<number> {
  const { items } = await getJson("pods", "-l", "app=e2e");
  const seconds = items.map(({ metadata, status }: PodTimes) => {
    const ready = status.conditions.find(({ type }) => type === "Ready");
    return (Date.parse(ready?.lastTransitionTime ?? "") - Date.parse(metadata.creationTimestamp)) /
      1000;
  });
  return seconds.reduce((sum: number, each: number) => sum + each, 0) / seconds.length;
}

interface PodTimes {
  readonly metadata: { readonly creationTimestamp: string };
  readonly status: {
    readonly conditions: readonly { readonly type: string; readonly lastTransitionTime: string }[];
  };
}

/** The publishes since an instant that the driver did not answer with OK, with its messages. */
async function failedPublishes(since: Date): Promise<string[]> {
  const log = ["logs", "daemonset/csi-cert-driver", `--since-time=${since.toISOString()}`];
  const lines = (await kubectl(["-n", system, ...log, "--tail=-1"])).split("\n");
  return lines.filter((line) => line.includes("NodePublishVolume"));
}

const removeCrowd = () => kubectl(["delete", "pod", "-l", "app=e2e", "--timeout=180s"]);
const seconds = (value: number) => `${value.toFixed(2)} s`;
const percent = (share: number) => `${(100 * share).toFixed(0)} %`;
const median = (list: readonly number[]) => list.toSorted((a, b) => a - b)[list.length >> 1] ?? NaN;

Deno.test("pods with and without a certificate become ready, and the times of both are printed", async () => {
  const times = { plain: [] as number[], certificate: [] as number[] };
  const published: number[] = [];
  for (let round = 0; round < 5; round++) {
    times.plain.push(await crowd(1, true));
    await removeCrowd();
    const before = await PublishTimes.now();
    times.certificate.push(await crowd(1, false));
    const { calls, seconds } = (await PublishTimes.now()).since(before);
    assert.ok(calls > 0, "the driver counted no NodePublishVolume");
    published.push(seconds);
    await removeCrowd();
  }
  const [plain, certificate, publish] = [times.plain, times.certificate, published].map(median);
  const share = `${seconds(publish!)} (${percent(publish! / certificate!)})`;
  console.log(
    `1 pod: emptyDir ${seconds(plain!)}, certificate ${seconds(certificate!)}, of which ${share} ` +
      `in NodePublishVolume`,
  );
});

Deno.test("fifty pods at once are all ready, each with a certificate of its own", async () => {
  const plain = await crowd(50, true);
  await removeCrowd();
  const [started, before] = [new Date(), await PublishTimes.now()];
  const certificate = await crowd(50, false);
  const published = (await PublishTimes.now()).since(before);
  const [ready, each] = [await meanReadySeconds(), published.seconds / 50];
  const failed = await failedPublishes(started);
  const share = `${seconds(each)} (${percent(each / ready)})`;
  console.log(
    `50 pods: emptyDir ${seconds(plain)}, certificate ${seconds(certificate)}; a pod is ready ` +
      `after ${seconds(ready)} on average, of which ${share} in NodePublishVolume\n` +
      `${published.calls} calls: half within ${published.bound(0.5)} s, all within ` +
      `${published.bound(1)} s; ${failed.length} answered with an error\n${failed.join("\n")}`,
  );
  const texts = await Promise.all(
    (await volumeMounts()).map((path) => Deno.readTextFile(`${path}/tls.crt`)),
  );
  assert.equal(new Set(texts).size, 50);
  assert.deepEqual(
    texts.map((text) => new X509Certificate(text).subject).sort(),
    Array.from({ length: 50 }, (_, index) => `CN=crowd-${index}.default.svc.cluster.local`).sort(),
  );
  await removeCrowd();
});

Deno.test("deleted pods leave no mount, no record and no directory on the node", async () => {
  assert.deepEqual(await volumeMounts(), []);
  assert.deepEqual(await volumeDirectories(), []);
  assert.deepEqual(await records(), []);
});
