import { CaController } from "../../../src/service/ca/ca_controller.ts";
import type { CaSourceContent } from "../../../src/service/ca/ca_source.ts";
import { CurrentCa, latestNotAfter } from "../../../src/service/ca/current_ca.ts";
import { parseRotationRecord } from "../../../src/service/ca/trust_state.ts";
import type {
  SharedDocument,
  SharedDocumentContent,
} from "../../../src/service/documents/shared_document.ts";
import { changes, Listeners } from "../../../src/shared/scheduler/listeners.ts";
import { earlier } from "../../../src/shared/scheduler/instants.ts";
import { Scheduler } from "../../../src/shared/scheduler/scheduler.ts";
import { type Certificate, readCertificates } from "../../../src/shared/x509/certificate.ts";
import { computeFingerprint } from "../../../src/shared/x509/fingerprint.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import { clockOffsets, ReplicaClock, untilIdle } from "../../support/replica_clock.ts";
import { ScriptedDocument, ScriptedSource, start } from "./rotation_fixture.ts";

export const longestValidity = Temporal.Duration.from({ hours: 12 });
const delay = Temporal.Duration.from({ minutes: 10 });

/** What happens in a schedule. */
export type Step =
  | { readonly kind: "wait"; readonly minutes: number }
  /** The operator changes the Secret. */
  | {
    readonly kind: "secret";
    readonly ca: number;
    readonly compromised: boolean;
    readonly further: number | undefined;
    readonly keepsFormer: boolean;
    readonly isBroken: boolean;
  }
  /** A replica no longer receives the Secret's changes, or receives them again. */
  | { readonly kind: "disconnect" | "connect" | "restart"; readonly replica: number }
  /** A replica no longer receives the document's changes, or receives them again. */
  | { readonly kind: "unwatch" | "watch"; readonly replica: number }
  /** No replica runs for a moment. */
  | { readonly kind: "restart all" }
  /** A replica's watch reports a former state of the Secret once more. */
  | { readonly kind: "late"; readonly replica: number; readonly age: number }
  | { readonly kind: "conflict" }
  | { readonly kind: "outage"; readonly minutes: number }
  /** The document is deleted, replaced by a former copy, or one of its keys is changed by hand. */
  | {
    readonly kind: "document";
    readonly change: "delete" | "restore" | "remove key" | "damage key" | "publish" | "bring back";
    readonly choice: number;
  };

const documentKeys = ["ca.crt", "state.json", "rotation.txt"];

/** A certificate that a replica can have issued: its end, and the roots of which one has to be trusted. */
interface Leaf {
  readonly notAfter: Temporal.Instant;
  readonly roots: readonly string[];
}

/** The document as one replica receives its changes. */
class WatchedDocument implements SharedDocument {
  readonly #document: ScriptedDocument;
  readonly #reconnected = new Listeners();
  #isWatching = true;

  constructor(document: ScriptedDocument) {
    this.#document = document;
  }

  get name(): string {
    return this.#document.name;
  }

  get isWatching(): boolean {
    return this.#isWatching;
  }

  set isWatching(isWatching: boolean) {
    this.#isWatching = isWatching;
    if (isWatching) this.#reconnected.call();
  }

  read(): Promise<SharedDocumentContent | undefined> {
    return this.#document.read();
  }

  write(data: Readonly<Record<string, string>>, version: string | undefined): Promise<boolean> {
    return this.#document.write(data, version);
  }

  async *watch(signal: AbortSignal): AsyncGenerator<void> {
    yield* changes((listener) => {
      const subscriptions = new DisposableStack();
      subscriptions.use(this.#reconnected.add(listener));
      subscriptions.use(this.#document.onChange(() => this.#isWatching && listener()));
      return subscriptions;
    }, signal);
  }
}

interface Replica extends AsyncDisposable {
  readonly document: WatchedDocument;
  readonly source: ScriptedSource;
  readonly currentCa: CurrentCa;
  readonly controller: CaController;
  readonly scheduler: Scheduler;
  isConnected: boolean;
}

/** Three replicas, their Secret and their document; and what an observer knows of them. */
export class RotationModel implements AsyncDisposable {
  readonly clock = new FakeClock(start);
  readonly document = new ScriptedDocument();
  readonly #secrets: readonly CaSourceContent[];
  #replicas: Replica[] = [];
  /** Every state of the Secret, the present one last. */
  readonly #history: CaSourceContent[] = [];
  readonly #copies: Record<string, string>[] = [];
  readonly #untrusted = new Set<string>();
  #leaves: Leaf[] = [];

  constructor(secrets: readonly CaSourceContent[]) {
    this.#secrets = secrets;
    this.#replicas = clockOffsets.map((offset) => this.#open(offset));
  }

  /** Performs one step, and resolves when the replicas have reacted to it. */
  async perform(step: Step): Promise<void> {
    switch (step.kind) {
      case "wait":
        await this.clock.advance({ minutes: step.minutes });
        break;
      case "secret":
        this.#changeSecret(step);
        break;
      case "disconnect":
        this.#replicaAt(step.replica).isConnected = false;
        break;
      case "connect":
        this.#connect(this.#replicaAt(step.replica));
        break;
      case "restart":
        await this.#restart(step.replica % clockOffsets.length);
        break;
      case "unwatch":
      case "watch":
        this.#replicaAt(step.replica).document.isWatching = step.kind === "watch";
        break;
      case "restart all":
        for (const replica of this.#replicas) await replica[Symbol.asyncDispose]();
        for (let at = 0; at < clockOffsets.length; at++) await this.#restart(at);
        break;
      case "late": {
        const former = this.#history.at(-1 - step.age);
        if (former) this.#replicaAt(step.replica).source.hold({ ...former });
        break;
      }
      case "conflict":
        this.document.beforeWrite = (document) => document.put({ ...document.text?.data });
        break;
      case "outage":
        this.document.failure = "the API server does not answer";
        await this.clock.advance({ minutes: step.minutes });
        this.document.failure = undefined;
        // A failed write is repeated after five minutes at most.
        await this.clock.advance({ minutes: 5 });
        break;
      case "document":
        this.#changeDocument(step.change, step.choice);
        break;
      default:
        step satisfies never;
    }
    await this.settle();
    this.#observe();
  }

  /** Every replica receives a Secret with a new CA, and has the time to act on it. */
  async converge(ca: CaSourceContent): Promise<void> {
    this.#putSecret(ca);
    for (const replica of this.#replicas) {
      replica.document.isWatching = true;
      this.#connect(replica);
    }
    await this.settle();
    await this.clock.advance({ minutes: 20 });
    await this.settle();
    this.#observe();
  }

  /** The fingerprints of each replica's trust bundle, and of the document's. */
  bundles(): string[] {
    return [...this.#replicas.map(({ currentCa }) => currentCa.anchors), this.#published()]
      .map((anchors) => anchors.map(fingerprintOf).toSorted().join());
  }

  /** The name of the CA with which each replica signs. */
  signing(): (string | undefined)[] {
    return this.#replicas.map(({ currentCa: { material } }) =>
      material?.issuer.certificate.commonName
    );
  }

  /** What contradicts the claims about every state. */
  contradictions(): string[] {
    // A replica that receives changes of neither the document nor the Secret cannot know what is listed.
    const informed = this.#replicas.filter(({ document, isConnected }) =>
      document.isWatching || isConnected
    );
    const published = informed.flatMap(({ currentCa }) => currentCa.anchors);
    const untrusted = [...published, ...this.#published()]
      .filter((root) => this.#untrusted.has(fingerprintOf(root)))
      .map(({ subject }) => `${subject} is untrusted and published`);
    const untrustedSigning = informed.flatMap(({ currentCa: { material } }) =>
      material ? [material.issuer.certificate] : []
    ).filter((ca) => this.#untrusted.has(fingerprintOf(ca)))
      .map(({ subject }) => `${subject} is untrusted and signs`);
    const trusted = new Set(this.#published().map(fingerprintOf));
    const now = this.clock.now();
    const orphans = this.#leaves.filter(({ notAfter, roots }) =>
      Temporal.Instant.compare(now, notAfter) < 0 &&
      !roots.some((root) => trusted.has(root) || this.#untrusted.has(root))
    ).map(({ notAfter }) => `no root of a certificate that is valid until ${notAfter} is trusted`);
    return [...untrusted, ...untrustedSigning, ...new Set(orphans)];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#replicas.map((replica) => replica[Symbol.asyncDispose]()));
  }

  /** Resolves when no replica has anything to do at this instant. */
  async settle(): Promise<void> {
    await untilIdle(this.clock, () => this.#replicas.map(({ scheduler }) => scheduler));
  }

  #changeSecret(
    { ca, compromised, further, keepsFormer, isBroken }: Extract<Step, { kind: "secret" }>,
  ): void {
    const next = this.#secrets[ca % this.#secrets.length]!;
    const former = this.#history.at(-1);
    const content: CaSourceContent = {
      ...next,
      privateKeyPem: isBroken
        ? this.#secrets[(ca + 1) % this.#secrets.length]!.privateKeyPem
        : next.privateKeyPem,
      furtherAnchorsPem: further === undefined
        ? undefined
        : this.#secrets[further % this.#secrets.length]?.certificatePem,
      former: keepsFormer
        ? former && { certificatePem: former.certificatePem, privateKeyPem: former.privateKeyPem }
        : undefined,
      compromised,
    };
    this.#putSecret(content);
  }

  #putSecret(ca: CaSourceContent): void {
    const source = { uid: "uid-1", version: String(this.#history.length + 1) };
    const content = { ...ca, source };
    this.#history.push(content);
    for (const replica of this.#replicas) {
      if (replica.isConnected) replica.source.hold(content);
    }
  }

  #changeDocument(change: string, choice: number): void {
    const data = this.document.text?.data;
    if (data === undefined) return;
    const key = documentKeys[choice % documentKeys.length] ?? "";
    switch (change) {
      case "delete":
        return this.document.put(undefined);
      case "restore":
        return this.document.put({ ...this.#copies[choice % this.#copies.length] });
      case "remove key": {
        const { [key]: _removed, ...others } = data;
        return this.document.put(others);
      }
      case "damage key":
        return this.document.put({ ...data, [key]: (data[key] ?? "").slice(choice) });
      case "publish": {
        const { certificatePem } = this.#secrets[choice % this.#secrets.length]!;
        return this.document.put({ ...data, "ca.crt": certificatePem });
      }
      case "bring back": {
        const copy = this.#copies[choice % this.#copies.length] ?? {};
        return this.document.put({ ...data, "state.json": withAnchorsOf(copy, data) });
      }
    }
  }

  #connect(replica: Replica): void {
    replica.isConnected = true;
    const present = this.#history.at(-1);
    if (present) replica.source.hold({ ...present });
  }

  async #restart(at: number): Promise<void> {
    await this.#replicas[at]?.[Symbol.asyncDispose]();
    this.#replicas[at] = this.#open(clockOffsets[at] ?? 0);
    this.#connect(this.#replicaAt(at));
  }

  #replicaAt(at: number): Replica {
    return this.#replicas[at % this.#replicas.length]!;
  }

  #published(): Certificate[] {
    return readCertificates(this.document.text?.data["ca.crt"] ?? "") ?? [];
  }

  /** Notes the certificates that can be issued now, and the roots that are listed as untrusted. */
  #observe(): void {
    const now = this.clock.now();
    for (const { currentCa: { material } } of this.#replicas) {
      if (material === undefined) continue;
      // The service's own clock limits what it signs to the root's retirement.
      const notAfter = earlier(now.add(longestValidity), latestNotAfter(material));
      const { issuer: { certificate, chain } } = material;
      const top = chain.at(-1) ?? certificate;
      this.#leaves.push({ notAfter, roots: [fingerprintOf(top)] });
    }
    this.#leaves = this.#leaves.filter(({ notAfter }) =>
      Temporal.Instant.compare(now, notAfter) < 0
    );
    const data = this.document.text?.data;
    if (data === undefined) return;
    this.#copies.push({ ...data });
    for (const { fingerprint, isTrustedAgain } of parseRotationRecord(data).record.untrusted) {
      if (!isTrustedAgain) this.#untrusted.add(fingerprint);
    }
  }

  #open(offsetSeconds: number): Replica {
    const clock = new ReplicaClock(this.clock, offsetSeconds);
    const source = new ScriptedSource();
    const document = new WatchedDocument(this.document);
    const currentCa = new CurrentCa();
    const scheduler = new Scheduler({ clock, random: () => 1 });
    const controller = new CaController({
      source,
      document,
      currentCa,
      scheduler,
      clock,
      delay,
      longestValidity: () => longestValidity,
    });
    const stopping = new AbortController();
    const running = controller.run(stopping.signal);
    return {
      source,
      document,
      currentCa,
      controller,
      isConnected: true,
      scheduler,
      [Symbol.asyncDispose]: async () => {
        stopping.abort();
        await running;
        await scheduler[Symbol.asyncDispose]();
      },
    };
  }
}

/** The state with the roots of a former copy too, as an earlier version of the service can write it. */
function withAnchorsOf(former: Record<string, string>, present: Readonly<Record<string, string>>) {
  const state = JSON.parse(present["state.json"] ?? "{}");
  const { anchors: before = [] } = JSON.parse(former["state.json"] ?? "{}");
  const { anchors = [] } = state;
  const known = new Set(anchors.map(({ certificate }: { certificate: string }) => certificate));
  const others = before.filter(({ certificate }: { certificate: string }) =>
    !known.has(certificate)
  );
  return JSON.stringify({ ...state, anchors: [...anchors, ...others] });
}

function fingerprintOf(certificate: Certificate): string {
  return computeFingerprint([certificate]);
}
