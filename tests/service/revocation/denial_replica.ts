import { create } from "@bufbuild/protobuf";
import { administrationService } from "../../../src/service/api/administration_service.ts";
import { ownCertificates } from "../../../src/service/api/own_certificates.ts";
import { CurrentCa, type SigningMaterial } from "../../../src/service/ca/current_ca.ts";
import type {
  SharedDocument,
  SharedDocumentContent,
} from "../../../src/service/documents/shared_document.ts";
import { AllReplicas, type OwnCertificates } from "../../../src/service/peers/all_replicas.ts";
import { composeIssuing } from "../../../src/service/program/compose.ts";
import { podDenials } from "../../../src/service/revocation/denial_format.ts";
import { FindCertificateResponseSchema } from "../../../src/shared/gen/certificate_service_pb.ts";
import { changes, Listeners } from "../../../src/shared/scheduler/listeners.ts";
import { turn } from "../../../scripts/support/fake_clock.ts";
import { Scheduler } from "../../../src/shared/scheduler/scheduler.ts";
import type { ReplicaClock } from "../../support/replica_clock.ts";
import type { ScriptedPods } from "../../support/scripted_pods.ts";
import { policy } from "../../support/service_fixture.ts";
import { ScriptedDocument } from "../ca/rotation_fixture.ts";

export const longestValidity = Temporal.Duration.from({ hours: 2 });
const noAnswer = "the API server does not answer";

type Content = SharedDocumentContent | undefined;

/** The document of the denials; knows which of its texts were damaged by hand. */
export class DenialsDocument extends ScriptedDocument {
  readonly #damaged = new Set<string>();
  #before: Content;
  /** Called after each write of a replica, with what was there before. */
  onWritten: (before: Content) => void = () => {};

  override put(data: Record<string, string> | undefined): void {
    this.#before = this.text;
    super.put(data);
  }

  /** A text that no replica can read. */
  damage(text: string): void {
    this.#damaged.add(text);
    this.put({ ...this.text?.data, [podDenials.key]: text });
  }

  /** The pods that a content denies; undefined when it is damaged. */
  denied(content: Content): ReadonlySet<string> | undefined {
    const text = content?.data[podDenials.key] ?? "";
    if (this.#damaged.has(text)) return undefined;
    const { denials } = JSON.parse(text === "" ? '{"denials":[]}' : text);
    return new Set(denials.map(({ podUid }: { podUid: string }) => podUid));
  }

  override write(data: Readonly<Record<string, string>>, version: string | undefined) {
    const writes = this.writes;
    const answer = super.write(data, version);
    if (this.writes > writes) this.onWritten(this.#before);
    return answer;
  }
}

/** The API server's document as one replica reaches it, and which denials the replica has read there or made. */
class DocumentView implements SharedDocument {
  readonly name = "ConfigMap csi-cert-system/csi-cert-denials";
  readonly #document: DenialsDocument;
  readonly #reconnected = new Listeners();
  readonly #known = new Set<string>();
  /** What was read, and is in memory when no write follows that fails. */
  #read: Content;
  /** Whether a text was read that is not damaged. */
  hasRead = false;
  #isReachable = true;
  #isWatching = true;
  hidesPods = false;
  /** How many turns of the event loop each request needs, and each answer, one after the other. */
  turns: readonly number[] = [];
  #passed = 0;
  /** The next write has its effect, and no answer. */
  losesAnswer = false;

  constructor(document: DenialsDocument) {
    this.#document = document;
  }

  get isReachable(): boolean {
    return this.#isReachable;
  }

  set isReachable(isReachable: boolean) {
    this.#isReachable = isReachable;
    this.#reconnected.call();
  }

  get findsPods(): boolean {
    return this.#isReachable && !this.hidesPods;
  }

  get isWatching(): boolean {
    return this.#isWatching && this.#isReachable;
  }

  set isWatching(isWatching: boolean) {
    this.#isWatching = isWatching;
    this.#reconnected.call();
  }

  get known(): ReadonlySet<string> {
    this.#learn();
    return this.#known;
  }

  /** Nothing that the replica writes from now on has an effect. */
  crash(): void {
    this.#isReachable = false;
  }

  /** The replica has revoked the pod. */
  add(podUid: string): void {
    this.#known.add(podUid);
  }

  async read(signal: AbortSignal): Promise<Content> {
    this.#learn();
    await this.#pass(signal);
    const content = await this.#document.read();
    await this.#pass(signal);
    this.#read = content;
    if (this.#document.denied(content) !== undefined) this.hasRead = true;
    return content;
  }

  async write(
    data: Readonly<Record<string, string>>,
    version: string | undefined,
    signal: AbortSignal,
  ): Promise<boolean> {
    const read = this.#read;
    this.#read = undefined;
    await this.#pass(signal);
    const isWritten = await this.#document.write(data, version);
    if (isWritten && this.losesAnswer) {
      this.losesAnswer = false;
      throw new Error(noAnswer);
    }
    await this.#pass(signal);
    if (isWritten) this.#read = read;
    return isWritten;
  }

  async *watch(signal: AbortSignal): AsyncGenerator<void> {
    const onChange = (listener: () => void) => {
      const subscriptions = new DisposableStack();
      subscriptions.use(this.#document.onChange(() => this.isWatching && listener()));
      subscriptions.use(this.#reconnected.add(() => this.isWatching && listener()));
      return subscriptions;
    };
    yield* changes(onChange, signal);
  }

  /** The way of a request to the API server, or of its answer. */
  async #pass(signal: AbortSignal): Promise<void> {
    const turns = this.turns[this.#passed++ % this.turns.length] ?? 0;
    for (let passed = 0; passed < turns; passed++) await turn();
    signal.throwIfAborted();
    if (!this.#isReachable) throw new Error(noAnswer);
  }

  #learn(): void {
    for (const podUid of this.#document.denied(this.#read) ?? []) this.#known.add(podUid);
    this.#read = undefined;
  }
}

export type Replica = ReturnType<typeof openReplica>;

/** One replica, as the program composes it. `others` returns what the other replicas that run know. */
export function openReplica(options: {
  readonly clock: ReplicaClock;
  readonly material: SigningMaterial;
  readonly document: DenialsDocument;
  readonly pods: ScriptedPods;
  readonly others: () => readonly OwnCertificates[];
}) {
  const { clock, material, others } = options;
  const document = new DocumentView(options.document);
  const scheduler = new Scheduler({ clock, random: () => 1 });
  const minValidity = Temporal.Duration.from({ hours: 1 });
  const limits = { minValidity, defaultValidity: longestValidity, maxValidity: longestValidity };
  const parts = composeIssuing({
    clock,
    scheduler,
    currentCa: new CurrentCa(material),
    policy: { policy: { ...policy(), ...limits }, longestValidity },
    denialsDocument: document,
    pods: {
      find: (pod) =>
        document.findsPods
          ? options.pods.find(pod)
          : Promise.resolve({ kind: "unavailable", problem: noAnswer }),
    },
    clusterDomain: "cluster.local",
  });
  const own = ownCertificates(parts);
  const replicas = new AllReplicas(own, {
    find: (serialNumber) => {
      const answers = others().map((other) => other.find(serialNumber)).map((certificate) =>
        create(FindCertificateResponseSchema, { certificate })
      );
      return Promise.resolve({ answers, missing: [] });
    },
    nodes: () => Promise.resolve(others().flatMap((other) => other.nodes())),
    lists: (filter) => Promise.resolve(others().map((other) => other.pages(filter))),
  });
  const stopping = new AbortController();
  const running = [parts.denials.run(stopping.signal), parts.upkeep.run(stopping.signal)];
  return {
    ...parts,
    clock,
    scheduler,
    document,
    own,
    administration: administrationService({ ...parts, replicas, nodeRevocation: undefined }),
    [Symbol.asyncDispose]: async () => {
      stopping.abort();
      await Promise.all(running);
      await parts.inventory[Symbol.asyncDispose]();
      await scheduler[Symbol.asyncDispose]();
    },
  };
}
