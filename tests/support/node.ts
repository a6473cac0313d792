import { randomUUID } from "node:crypto";
import { kubeletVolumeData } from "../../src/driver/mount/kubelet_volume_data.ts";
import { PlainDirectoryMounter } from "../../src/driver/mount/plain_directory_mounter.ts";
import { openRecordStore } from "../../src/driver/records/record_store.ts";
import { Scheduler } from "../../src/shared/scheduler/scheduler.ts";
import { CertificateRequester } from "../../src/driver/certificates/certificate_requester.ts";
import { KeyGenerator } from "../../src/driver/certificates/key_generator.ts";
import type { Mounter } from "../../src/driver/volume/mounter.ts";
import type { VolumeStore } from "../../src/driver/volume/volume_record.ts";
import { Publisher } from "../../src/driver/volume/publisher.ts";
import { parsePublishRequest, type PublishCall } from "../../src/driver/csi/request_validation.ts";
import type { PublishRequest } from "../../src/driver/volume/publish_request.ts";
import { Renewer } from "../../src/driver/volume/renewer.ts";
import { Reconciler } from "../../src/driver/volume/reconciler.ts";
import { TrustBundleUpdater } from "../../src/driver/volume/trust_bundle_updater.ts";
import { VolumeTable } from "../../src/driver/volume/volume_table.ts";
import { type Certificate, readCertificates } from "../../src/shared/x509/certificate.ts";
import { FakeClock } from "../../scripts/support/fake_clock.ts";
import { TestIssuer } from "./test_issuer.ts";

/** A node's volume domain over real directories and records, on a clock that tests move. */
export class TestNode implements AsyncDisposable {
  readonly clock: FakeClock;
  readonly issuer: TestIssuer;
  readonly directory: string;
  mounter: Mounter;
  store: VolumeStore;
  table!: VolumeTable;
  scheduler!: Scheduler;
  renewer!: Renewer;
  publisher!: Publisher;
  restorer!: Reconciler;
  trust!: TrustBundleUpdater;

  private constructor(clock: FakeClock, issuer: TestIssuer, directory: string) {
    this.clock = clock;
    this.issuer = issuer;
    this.directory = directory;
    this.mounter = new PlainDirectoryMounter({
      mounts: undefined,
      allowKeysOnDisk: true,
      onWarning: () => {},
    });
    this.store = openRecordStore(`${directory}/records`);
    this.start();
  }

  static async create(): Promise<TestNode> {
    const clock = new FakeClock();
    const directory = await Deno.makeTempDir({ prefix: "csi-node-" });
    await Deno.mkdir(`${directory}/records`);
    return new TestNode(clock, await TestIssuer.create(clock), directory);
  }

  /** Starts the program again: every object is new, the files on the node remain. */
  start(): void {
    const { clock, mounter, store } = this;
    const table = this.table = new VolumeTable();
    const scheduler = this.scheduler = new Scheduler({ clock });
    const keys = new KeyGenerator(clock);
    const source = new CertificateRequester(this.issuer, keys, clock);
    const parts = {
      clock,
      table,
      scheduler,
      mounter,
      store,
      source,
      keys,
      kubelet: kubeletVolumeData,
    };
    const renewer = this.renewer = new Renewer({ ...parts, random: () => 1 });
    this.publisher = new Publisher({ ...parts, renewer });
    const checkInterval = Temporal.Duration.from({ minutes: 5 });
    this.restorer = new Reconciler({ ...parts, renewer, checkInterval });
    const onUntrusted = renewer.renewSoon.bind(renewer);
    this.trust = new TrustBundleUpdater({ ...parts, checkInterval, onUntrusted });
  }

  /** The program ends at once and starts again. */
  async restart() {
    await this.scheduler[Symbol.asyncDispose]();
    this.start();
    const restored = await this.restorer.restore();
    // The first check of every volume has ended before a test moves the clock.
    await this.clock.until(() => this.scheduler.nextRun(".sweep") === undefined);
    return restored;
  }

  /** A request as the kubelet would send it; its note is stored beside the target. */
  async request(
    attributes: Record<string, string> = {},
    change: Partial<PublishCall> & { uid?: string } = {},
  ): Promise<PublishRequest> {
    const { uid = randomUUID(), ...rest } = change;
    const raw = rawRequest(this.directory, uid, attributes);
    const parsed = parsePublishRequest({ ...raw, ...rest });
    if (parsed.kind === "refused") throw new Error(JSON.stringify(parsed.problems));
    const parent = parsed.request.targetPath.slice(0, -"/mount".length);
    await Deno.mkdir(parent, { recursive: true });
    await Deno.writeTextFile(`${parent}/vol_data.json`, "{}");
    return parsed.request;
  }

  publish(request: PublishRequest, signal: AbortSignal = new AbortController().signal) {
    return this.publisher.publish(request, signal);
  }

  /** Moves the clock to the volume's next run, and no further: what it waits for may time out. */
  async untilDue(request: PublishRequest): Promise<void> {
    const due = this.scheduler.nextRun(request.volumeId);
    if (!due) throw new Error("no renewal is scheduled");
    await this.clock.advance(due.since(this.clock.now()));
  }

  /** Moves the clock to the volume's next run and waits for its end. */
  async renew(request: PublishRequest): Promise<void> {
    const asked = this.issuer.requests.length;
    await this.untilDue(request);
    await this.clock.until(() => this.scheduler.running === 0);
    // A sweep that held the volume just then puts the renewal off by a second.
    if (this.issuer.requests.length === asked) await this.clock.advance({ seconds: 1 });
    await this.clock.until(() =>
      this.issuer.requests.length > asked && this.scheduler.running === 0
    );
  }

  async leaf(request: PublishRequest): Promise<Certificate> {
    const text = await this.mounter.read(request.targetPath, request.parsed.certificateFile);
    const leaf = readCertificates(text ?? "")?.[0];
    if (!leaf) throw new Error("no certificate is mounted");
    return leaf;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.scheduler[Symbol.asyncDispose]();
    await Deno.remove(this.directory, { recursive: true });
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
