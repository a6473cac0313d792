import { randomUUID } from "node:crypto";
import { kubeletVolumeData } from "../../src/driver/mount/kubelet_volume_data.ts";
import { MountTable } from "../../src/driver/mount/mount_table.ts";
import { selectMounter } from "../../src/driver/mount/mounter_selection.ts";
import { parseMountinfo } from "../../src/driver/mount/mountinfo.ts";
import { PlainDirectoryMounter } from "../../src/driver/mount/plain_directory_mounter.ts";
import { composeVolumes } from "../../src/driver/program/compose_volumes.ts";
import { openRecordStore } from "../../src/driver/records/record_store.ts";
import type { Mounter } from "../../src/driver/volume/mounter.ts";
import type { Volume, VolumeStore } from "../../src/driver/volume/volume_record.ts";
import { parsePublishRequest, type PublishCall } from "../../src/driver/csi/request_validation.ts";
import { Disk, type FileCalls } from "../../src/shared/linux/disk.ts";
import { mountFlags, openLibc } from "../../src/shared/linux/libc.ts";
import { mountinfoPath } from "../../src/shared/linux/proc_files.ts";
import { steadyClock } from "../../src/driver/program/node_clock.ts";
import { Scheduler } from "../../src/shared/scheduler/scheduler.ts";
import { type Certificate, readCertificates } from "../../src/shared/x509/certificate.ts";
import { shareMounts } from "../../scripts/support/shared_mount.ts";
import { FakeClock } from "../../scripts/support/fake_clock.ts";
import { TestIssuer } from "./test_issuer.ts";

/** The mounter of every TestNode; a test file that runs the volumes' tests again replaces it. */
export const nodeMounter = { kind: "plain" as Mounter["kind"] };

type Volumes = ReturnType<typeof composeVolumes>;

/** A node's volume domain over real directories or mounts and real records, on a clock that tests move. */
export class TestNode implements AsyncDisposable {
  readonly clock: FakeClock;
  readonly issuer: TestIssuer;
  readonly directory: string;
  readonly #openedMounter: Mounter & Disposable;
  readonly #disk: Disk;
  /** The calls that reach the disk; a test replaces those that the disk does not answer. */
  readonly files: FileCalls;
  /** The difference of the clocks, measured with each certificate. */
  readonly clockSkewsMs: number[] = [];
  /** The outcome of every attempt at a renewal. */
  readonly renewals: ("renewed" | "failed")[] = [];
  mounter: Mounter;
  store: VolumeStore;
  scheduler!: Scheduler;
  table!: Volumes["table"];
  renewer!: Volumes["renewer"];
  publisher!: Volumes["publisher"];
  reconciler!: Volumes["reconciler"];
  trust!: Volumes["trust"];

  private constructor(
    clock: FakeClock,
    issuer: TestIssuer,
    directory: string,
    { files, disk, mounter }: {
      readonly files: FileCalls;
      readonly disk: Disk;
      readonly mounter: Mounter & Disposable;
    },
  ) {
    this.files = files;
    this.#disk = disk;
    this.clock = clock;
    this.issuer = issuer;
    this.directory = directory;
    this.mounter = this.#openedMounter = mounter;
    this.store = openRecordStore(this.#disk, `${directory}/records`);
    this.start();
  }

  static async create(): Promise<TestNode> {
    const directory = await Deno.makeTempDir({ prefix: "csi-node-" });
    await Deno.mkdir(`${directory}/records`);
    if (nodeMounter.kind === "tmpfs") shareMounts(directory);
    const clock = new FakeClock();
    const issuer = await TestIssuer.create(clock);
    const files: FileCalls = { ...Deno };
    const disk = new Disk(files);
    const mounter = await openMounter(disk, `${directory}/staging`);
    return new TestNode(clock, issuer, directory, { files, disk, mounter });
  }

  /** Starts the program again: every object is new, the files on the node remain. */
  start(): void {
    const { clock, mounter, store, issuer } = this;
    this.scheduler = new Scheduler({ clock: steadyClock(clock) });
    const volumes = composeVolumes({
      clock,
      mounter,
      store,
      issuer,
      scheduler: this.scheduler,
      kubelet: kubeletVolumeData(this.#disk),
      random: () => 1,
      checkInterval: Temporal.Duration.from({ minutes: 5 }),
      onClockSkew: (skewMs) => void this.clockSkewsMs.push(skewMs),
      onRenewal: (outcome) => void this.renewals.push(outcome),
    });
    this.table = volumes.table;
    this.renewer = volumes.renewer;
    this.publisher = volumes.publisher;
    this.reconciler = volumes.reconciler;
    this.trust = volumes.trust;
  }

  /** The program ends at once and starts again. */
  async restart() {
    await this.scheduler[Symbol.asyncDispose]();
    this.start();
    const restored = await this.reconciler.restore();
    // The first check of every volume has ended before a test moves the clock.
    await this.clock.until(() => this.scheduler.nextRun(".sweep") === undefined);
    return restored;
  }

  /** A request as the kubelet would send it; the kubelet's record is stored beside the target. */
  async request(
    attributes: Record<string, string> = {},
    change: Partial<PublishCall> & { uid?: string } = {},
  ): Promise<Volume> {
    const { uid = randomUUID(), ...rest } = change;
    const raw = rawRequest(this.directory, uid, attributes);
    const parsed = parsePublishRequest({ ...raw, ...rest });
    if (parsed.kind === "refused") throw new Error(parsed.reason);
    const parent = parsed.request.targetPath.slice(0, -"/mount".length);
    await Deno.mkdir(parent, { recursive: true });
    await Deno.writeTextFile(`${parent}/vol_data.json`, "{}");
    return parsed.request;
  }

  publish(request: Volume, signal: AbortSignal = new AbortController().signal) {
    return this.publisher.publish(request, signal);
  }

  /** Moves the clock to the volume's next run, and no further: a call under way may time out. */
  async untilDue(request: Volume): Promise<void> {
    const due = this.scheduler.nextRun(request.volumeId);
    if (!due) throw new Error("no renewal is scheduled");
    await this.clock.advance(due.since(this.scheduler.now()));
  }

  /** Moves the clock to the volume's next run and waits for its end. */
  async renew(request: Volume): Promise<void> {
    const requested = this.issuer.requests.length;
    await this.untilDue(request);
    await this.clock.until(() => this.scheduler.running === 0);
    // A sweep that has the volume's lock just then delays the renewal by a second.
    if (this.issuer.requests.length === requested) await this.clock.advance({ seconds: 1 });
    await this.clock.until(() =>
      this.issuer.requests.length > requested && this.scheduler.running === 0
    );
  }

  /** The text of one file of a volume. */
  async read({ targetPath }: Volume, name: string): Promise<string | undefined> {
    return (await this.#openedMounter.read(targetPath, [name]))[0];
  }

  async leaf(request: Volume): Promise<Certificate> {
    const leaf = readCertificates(await this.read(request, request.parsed.certificateFile) ?? "")
      ?.[0];
    if (!leaf) throw new Error("no certificate is mounted");
    return leaf;
  }

  /** Changes a volume's files behind the driver; `change` receives the directory of the current ones. */
  async damage(
    { targetPath }: Pick<Volume, "targetPath">,
    change: (files: string) => Promise<unknown>,
  ): Promise<void> {
    if (this.#openedMounter.kind === "plain") return void await change(`${targetPath}/..data`);
    using libc = openLibc();
    const remount = { target: targetPath, flags: mountFlags.remount | mountFlags.bind };
    libc.mount(remount);
    await change(`${targetPath}/..data`);
    libc.mount({ ...remount, flags: remount.flags | mountFlags.readOnly });
  }

  /** Removes a volume's mount and target behind the driver. */
  async removeTarget({ targetPath }: Pick<Volume, "targetPath">): Promise<void> {
    unmountBelow(targetPath);
    await Deno.remove(targetPath, { recursive: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.scheduler[Symbol.asyncDispose]();
    this.#openedMounter[Symbol.dispose]();
    unmountBelow(this.directory);
    await Deno.remove(this.directory, { recursive: true });
  }
}

async function openMounter(disk: Disk, stagingDir: string): Promise<Mounter & Disposable> {
  const rules = { allowKeysOnDisk: true, onWarning: () => {} };
  if (nodeMounter.kind === "plain") {
    const libc = openLibc();
    return new PlainDirectoryMounter({ ...rules, disk, libc, mounts: new MountTable(libc) });
  }
  const mounter = await selectMounter({ ...rules, disk, stagingDir });
  if (mounter.kind === "plain") throw new Error("mounting is not permitted");
  return mounter;
}

/** Unmounts what is mounted at a directory and below it. */
function unmountBelow(directory: string): void {
  using libc = openLibc();
  const path = Deno.realPathSync(directory);
  for (const { mountPoint } of parseMountinfo(libc.readText(mountinfoPath)).reverse()) {
    if (mountPoint === path || mountPoint.startsWith(`${path}/`)) libc.unmount(mountPoint);
  }
}

/** A well-formed publish call for a pod of this uid. */
export function rawRequest(
  root: string,
  uid: string,
  attributes: Record<string, string> = {},
): PublishCall {
  return {
    volumeId: `csi-${uid}`,
    targetPath: `${root}/pods/${uid}/volumes/kubernetes.io~csi/certs/mount`,
    access: "mount",
    accessMode: "SINGLE_NODE_WRITER",
    fsType: "",
    mountFlags: [],
    volumeMountGroup: "",
    volumeContext: {
      ...attributes,
      "csi.storage.k8s.io/pod.name": "web-0",
      "csi.storage.k8s.io/pod.namespace": "shop",
      "csi.storage.k8s.io/pod.uid": uid,
      "csi.storage.k8s.io/serviceAccount.name": "default",
      "csi.storage.k8s.io/ephemeral": "true",
    },
  };
}
