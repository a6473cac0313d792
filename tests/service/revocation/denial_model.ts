import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { podDenials } from "../../../src/service/revocation/denial_format.ts";
import type { SigningMaterial } from "../../../src/service/ca/current_ca.ts";
import type { PodIdentity } from "../../../src/shared/attributes/pod_identity.ts";
import { RevokeCertificateRequestSchema } from "../../../src/shared/gen/certificate_service_pb.ts";
import { maxClockSkew } from "../../../src/shared/x509/clock_skew.ts";
import { FakeClock, turn } from "../../../scripts/support/fake_clock.ts";
import { clockOffsets, ReplicaClock, untilIdle } from "../../support/replica_clock.ts";
import { clusterPod, ScriptedPods } from "../../support/scripted_pods.ts";
import { issueRequest, never, pod as usualPod, start } from "../../support/service_fixture.ts";
import { settled } from "../../support/settled.ts";
import { DenialsDocument, longestValidity, openReplica, type Replica } from "./denial_replica.ts";

/** What happens in a schedule. Pods and replicas are named by their number. */
export type Step =
  | { readonly kind: "wait"; readonly minutes: number }
  /** Up to three calls at the same time, in which a replica can crash after some turns of the event loop. */
  | { readonly kind: "call"; readonly calls: readonly Call[]; readonly crash: Crash | undefined }
  /** A pod is deleted, created, or deleted and created again under the same name. */
  | {
    readonly kind: "pod";
    readonly pod: number;
    readonly change: "delete" | "create" | "replace";
  }
  | {
    readonly kind: "stop" | "start" | "restart" | "cut off" | "reach" | "unwatch" | "watch";
    readonly replica: number;
  }
  /** The API server answers a replica's questions about pods no more, or again. */
  | { readonly kind: "hide pods" | "show pods"; readonly replica: number }
  | { readonly kind: "stop all" | "start all" | "restart all" }
  /** A replica's next write has its effect, and the replica receives no answer. */
  | { readonly kind: "lose answer"; readonly replica: number }
  /** A replica's requests to the API server need some turns of the event loop, and so do their answers. */
  | { readonly kind: "slow"; readonly replica: number; readonly turns: readonly number[] }
  /** A replica's clock steps. */
  | { readonly kind: "clock"; readonly replica: number; readonly offset: number }
  | { readonly kind: "outage"; readonly minutes: number }
  /** The document is edited by hand. */
  | { readonly kind: "document"; readonly edit: DocumentEdit; readonly choice: number }
  /** The document is written or edited between the next read of a replica and its write. */
  | {
    readonly kind: "conflict";
    readonly edit: DocumentEdit | "touch";
    readonly choice: number;
  };

export type DocumentEdit =
  | "delete"
  | "remove key"
  | "remove entry"
  | "restore"
  | "cut"
  | "damage"
  | "correct";

export interface Crash {
  readonly replica: number;
  readonly afterTurns: number;
}

/** A call to a replica about a pod, or about the former pod of the same name. */
export interface Call {
  readonly kind: "issue" | "renew" | "revoke by uid" | "revoke by serial number";
  readonly replica: number;
  readonly pod: number;
  readonly isFormer: boolean;
}

/** A text of a version to come, and one that is no list of denials. */
const unreadable = ['{"version":2,"denials":[]}', '{"version":1,"denials":[{"podUid":7}]}'];
const names = ["web-0", "web-1", "web-2"];
/** How much the clocks of the replicas differ, also when one steps. */
const clockDifference = { seconds: 280 };
/** How long after its last certificate has expired, and its end, the denial of a pod is removed at most. */
const endsAfter = longestValidity.add(maxClockSkew).add({ hours: 1 })
  .add(clockDifference).add(clockDifference)
  // A failed attempt is repeated after five minutes at most.
  .add({ minutes: 5 });
const node = { kind: "node", node: "node-1" } as const;

interface Certificate {
  readonly podUid: string;
  readonly serialNumber: string;
  readonly notAfter: Temporal.Instant;
  readonly issuedBy: Replica;
}

/**
 * Three replicas, their document and the pods of a cluster; and what an observer knows of them.
 *
 * A replica knows a denial from when it has read it in the document or made it itself, until it stops.
 * While the pod exists, a replica that knows the denial never issues to it, and writes it into the
 * document again when it is removed there. There is one exception from the rule that a denied pod
 * receives nothing: where the denial was removed from the document by hand, a replica that starts does
 * not know it until another one has written it again. So it is lost when no replica that knows it runs.
 */
export class DenialModel implements AsyncDisposable {
  readonly clock = new FakeClock(start);
  readonly document = new DenialsDocument();
  readonly #pods = new ScriptedPods();
  readonly #material: SigningMaterial;
  readonly #certificateRequest: Uint8Array;
  readonly #clocks = clockOffsets.map((offset) => new ReplicaClock(this.clock, offset));
  readonly #replicas: (Replica | undefined)[];
  /** The pods of each name, the present one or the last one at the end. */
  readonly #history: PodIdentity[][] = names.map(() => []);
  /** Those that exist, by uid. */
  readonly #existing = new Set<string>();
  readonly #certificates: Certificate[] = [];
  /** When each pod was to be revoked the last time, also without success. */
  readonly #targeted = new Map<string, Temporal.Instant>();
  /** The pods of successful revocations that are not lost. */
  readonly #denied = new Set<string>();
  readonly #goneAt = new Map<string, Temporal.Instant>();
  /** The last time at which something prevented the end of denials. */
  #disturbedAt: Temporal.Instant = start;
  #edits = 0;
  readonly #copies: Record<string, string>[] = [];
  readonly #errors: string[] = [];
  /** How many calls had each result. */
  readonly counts = { issued: 0, revoked: 0, denied: 0, ended: 0, lost: 0 };

  constructor(material: SigningMaterial, certificateRequest: Uint8Array) {
    this.#material = material;
    this.#certificateRequest = certificateRequest;
    this.document.onWritten = (before) => this.#checkWrite(before);
    this.#replicas = clockOffsets.map((_offset, at) => this.#open(at));
    names.forEach((_name, at) => this.#createPod(at));
  }

  /** Performs one step, and resolves when the replicas have reacted to it. */
  async perform(step: Step): Promise<void> {
    switch (step.kind) {
      case "wait":
        await this.clock.advance({ minutes: step.minutes });
        break;
      case "call":
        await this.#call(step.calls, step.crash);
        break;
      case "pod":
        if (step.change !== "create") this.#deletePod(step.pod);
        if (step.change !== "delete") this.#createPod(step.pod);
        break;
      case "stop":
        await this.#stop(step.replica);
        break;
      case "start":
        this.#start(step.replica);
        break;
      case "restart":
        await this.#stop(step.replica);
        this.#start(step.replica);
        break;
      case "stop all":
      case "restart all":
      case "start all":
        for (let at = 0; step.kind !== "start all" && at < this.#replicas.length; at++) {
          await this.#stop(at);
        }
        for (let at = 0; step.kind !== "stop all" && at < this.#replicas.length; at++) {
          this.#start(at);
        }
        break;
      case "hide pods":
      case "show pods": {
        const replica = this.#replicas[step.replica];
        if (replica) replica.document.hidesPods = step.kind === "hide pods";
        break;
      }
      case "cut off":
      case "reach":
      case "unwatch":
      case "watch":
        this.#connect(step.kind, this.#replicas[step.replica]);
        break;
      case "lose answer": {
        const replica = this.#replicas[step.replica];
        if (replica) replica.document.losesAnswer = true;
        break;
      }
      case "slow": {
        const replica = this.#replicas[step.replica];
        if (replica) replica.document.turns = step.turns;
        break;
      }
      case "clock":
        this.#clocks[step.replica]!.offsetSeconds = clockOffsets[step.offset] ?? 0;
        break;
      case "outage":
        for (const replica of this.#replicas) this.#connect("cut off", replica);
        await this.clock.advance({ minutes: step.minutes });
        this.#disturb();
        for (const replica of this.#replicas) this.#connect("reach", replica);
        break;
      case "document":
        this.#edit(step.edit, step.choice);
        break;
      case "conflict":
        this.document.beforeWrite = () => this.#edit(step.edit, step.choice);
        break;
      default:
        step satisfies never;
    }
    await this.#settle();
    this.#observe();
  }

  /** Every replica runs and reaches the document, each pod requests a certificate, and denials have the time to end. */
  async converge(): Promise<void> {
    this.document.beforeWrite = undefined;
    this.#edit("correct", 0);
    for (let at = 0; at < this.#replicas.length; at++) {
      this.#start(at);
      const replica = this.#replicas[at]!;
      replica.document.losesAnswer = false;
      replica.document.hidesPods = false;
      this.#connect("reach", replica);
      this.#connect("watch", replica);
    }
    await this.#settle();
    this.#observe();
    for (let replica = 0; replica < this.#replicas.length; replica++) {
      const kind = "renew";
      await this.#call(names.map((_name, pod) => ({ kind, replica, pod, isFormer: false })));
      await this.#settle();
      this.#observe();
    }
    // One pod remains.
    for (const pod of [0, 1]) this.#deletePod(pod);
    await this.clock.advance(endsAfter.add({ minutes: 1 }));
    await this.#settle();
    this.#observe();
  }

  /** The list of each replica that runs, and the document's. */
  lists(): string[] {
    const written = podDenials.parse(this.document.text?.data[podDenials.key]);
    assert(written.kind === "read");
    return [...this.#running().map(({ denials }) => denials.pods()), [...written.denials.values()]]
      .map((list) => podDenials.format(list.sort((a, b) => a.podUid < b.podUid ? -1 : 1)));
  }

  /** What contradicts the claims about the state after `converge`. */
  unmet(): string[] {
    const [first] = this.#replicas;
    const denials = new Map(first?.denials.pods().map((denial) => [denial.podUid, denial]));
    return [...this.#existing].filter((uid) => this.#denied.has(uid))
      .flatMap((uid) => {
        const denial = denials.get(uid);
        if (denial === undefined) return [`the pod ${uid} is no longer denied`];
        return denial.pod === undefined ? [`the denial of pod ${uid} has no name`] : [];
      });
  }

  /** What contradicts the claims about every state and every call until now. */
  contradictions(): string[] {
    return [...new Set(this.#errors)];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#running().map((replica) => replica[Symbol.asyncDispose]()));
  }

  #open(at: number): Replica {
    const replica: Replica = openReplica({
      clock: this.#clocks[at]!,
      material: this.#material,
      document: this.document,
      pods: this.#pods,
      others: () => this.#running().filter((one) => one !== replica).map(({ own }) => own),
    });
    return replica;
  }

  #running(): Replica[] {
    return this.#replicas.filter((replica) => replica !== undefined);
  }

  async #stop(at: number): Promise<void> {
    const replica = this.#replicas[at];
    this.#replicas[at] = undefined;
    await replica?.[Symbol.asyncDispose]();
  }

  #start(at: number): void {
    this.#replicas[at] ??= this.#open(at);
  }

  #connect(kind: "cut off" | "reach" | "unwatch" | "watch", replica: Replica | undefined): void {
    if (replica === undefined) return;
    const isOn = kind === "reach" || kind === "watch";
    if (kind === "reach" || kind === "cut off") replica.document.isReachable = isOn;
    else replica.document.isWatching = isOn;
  }

  async #settle(): Promise<void> {
    await untilIdle(this.clock, () => this.#running().map(({ scheduler }) => scheduler));
  }

  #createPod(at: number): void {
    const pods = this.#history[at]!;
    if (this.#existing.has(pods.at(-1)?.uid ?? "")) return;
    const number = `${at}${`${pods.length}`.padStart(11, "0")}`;
    const uid = `00000000-0000-4000-8000-${number}`;
    const pod = { ...usualPod, name: names[at]!, uid };
    pods.push(pod);
    this.#existing.add(uid);
    this.#pods.create(clusterPod(pod));
  }

  #deletePod(at: number): void {
    const { uid, ...pod } = this.#history[at]!.at(-1)!;
    if (!this.#existing.delete(uid)) return;
    this.#goneAt.set(uid, this.clock.now());
    this.#pods.delete(pod);
  }

  #disturb(): void {
    this.#disturbedAt = this.clock.now();
  }

  #edit(edit: DocumentEdit | "touch", choice: number): void {
    this.#disturb();
    if (edit !== "touch") this.#edits++;
    const { document } = this;
    const data = document.text?.data;
    const text = data?.[podDenials.key] ?? "";
    const copy = this.#copies[choice % this.#copies.length];
    switch (edit) {
      case "touch":
        // A document that does not exist is not created: the replica's write has no conflict.
        return data && document.put({ ...data });
      case "delete":
        return document.put(undefined);
      case "remove key": {
        const { [podDenials.key]: _removed, ...others } = data ?? {};
        return document.put(others);
      }
      case "remove entry": {
        if (text === "" || document.denied(document.text) === undefined) return;
        const { denials, ...others } = JSON.parse(text);
        denials.splice(choice % Math.max(1, denials.length), 1);
        return document.put({ ...data, [podDenials.key]: JSON.stringify({ ...others, denials }) });
      }
      case "restore":
        return copy && document.put({ ...copy });
      case "cut":
        if (text.length < 2) return;
        return document.damage(text.slice(0, 1 + choice % (text.length - 1)));
      case "damage":
        return document.damage(unreadable[choice % unreadable.length]!);
      case "correct":
        if (document.denied(document.text) !== undefined) return;
        return document.put(this.#copies.at(-1));
    }
  }

  async #call(calls: readonly Call[], crash?: Crash): Promise<void> {
    const isAlone = calls.length === 1 && crash === undefined;
    const running = this.#running();
    const made = calls.flatMap((call) => {
      const replica = running[call.replica % running.length];
      const pod = this.#history[call.pod]!.at(call.isFormer ? -2 : -1);
      if (replica === undefined || pod === undefined) return [];
      const isIssue = call.kind === "issue" || call.kind === "renew";
      return isIssue
        ? [this.#issue(replica, pod, call.kind === "renew")]
        : [this.#revoke(replica, pod, call.kind === "revoke by serial number", isAlone)];
    });
    if (crash !== undefined) {
      for (let turns = 0; turns < crash.afterTurns; turns++) await turn();
      this.#replicas[crash.replica]?.document.crash();
      await this.#stop(crash.replica);
    }
    await settled(this.clock, Promise.all(made));
  }

  async #issue(replica: Replica, pod: PodIdentity, isRenewal: boolean): Promise<void> {
    const { uid } = pod;
    const isKnown = replica.document.known.has(uid);
    const mayIssue = this.#existing.has(uid) && replica.document.findsPods;
    const { isLoaded } = replica.denials;
    const predecessor = isRenewal ? this.#lastCertificate(uid)?.serialNumber : undefined;
    const certificateRequest = this.#certificateRequest;
    const request = await issueRequest({ pod, certificateRequest, predecessor });
    const outcome = await replica.issuing.issue(node, request, never);
    if (!this.#running().includes(replica)) return;
    if (outcome.kind !== "issued") {
      if (isKnown) this.counts.denied++;
      if (!mayIssue || !isLoaded || this.#targeted.has(uid)) return;
      this.#errors.push(`the pod ${uid}, which was never revoked, got ${JSON.stringify(outcome)}`);
      return;
    }
    this.counts.issued++;
    if (!replica.document.hasRead) this.#errors.push("a replica issued that has read no denials");
    if (isKnown) this.#errors.push(`a replica that knows that pod ${uid} is denied issued to it`);
    if (!mayIssue) this.#errors.push(`a replica issued to pod ${uid} without the API server`);
    const { serialNumber, notAfter } = outcome;
    this.#certificates.push({ podUid: uid, serialNumber, notAfter, issuedBy: replica });
  }

  async #revoke(
    replica: Replica,
    { uid }: PodIdentity,
    bySerialNumber: boolean,
    isAlone: boolean,
  ): Promise<void> {
    const certificate = bySerialNumber ? this.#lastCertificate(uid) : undefined;
    const isPossible = this.#isPossible(replica) &&
      (certificate === undefined || isAlone && this.#isCertain(certificate));
    const issuedBefore = this.#certificates.filter(({ podUid }) => podUid === uid);
    const target = certificate === undefined
      ? { case: "podUid" as const, value: uid }
      : { case: "serialNumber" as const, value: certificate.serialNumber };
    this.#targeted.set(uid, this.clock.now());
    const edits = this.#edits;
    try {
      const response = await replica.administration.revokeCertificate(
        create(RevokeCertificateRequestSchema, { target }),
        { signal: never, peerCertificate: undefined },
      );
      if (!this.#running().includes(replica)) return;
      this.counts.revoked++;
      replica.document.add(uid);
      this.#denied.add(uid);
      const isEdited = this.#edits > edits;
      if (!isEdited && !this.document.denied(this.document.text)?.has(uid)) {
        this.#errors.push(`the document lacks pod ${uid}, whose revocation was successful`);
      }
      const validUntil = Number(response.validUntil?.seconds) + 1;
      if (issuedBefore.some(({ notAfter }) => notAfter.epochMilliseconds / 1000 > validUntil)) {
        this.#errors.push(`pod ${uid} has a certificate that is valid for longer than stated`);
      }
    } catch (error) {
      if (!isPossible || !this.#running().includes(replica)) return;
      this.#errors.push(`pod ${uid} could not be revoked: ${error}`);
    }
  }

  /** Whether nothing prevents that the replica writes a revocation. */
  #isPossible({ document: { isReachable, losesAnswer } }: Replica): boolean {
    return isReachable && !losesAnswer && this.document.beforeWrite === undefined &&
      this.document.denied(this.document.text) !== undefined;
  }

  /** Whether a replica that runs has issued the certificate, and knows it. */
  #isCertain({ serialNumber, notAfter, issuedBy }: Certificate): boolean {
    const last = this.#certificates.findLast((one) => one.issuedBy === issuedBy);
    return this.#running().includes(issuedBy) && last?.serialNumber === serialNumber &&
      Temporal.Instant.compare(this.clock.now().add({ minutes: 10 }), notAfter) < 0;
  }

  #lastCertificate(uid: string): Certificate | undefined {
    return this.#certificates.findLast(({ podUid }) => podUid === uid);
  }

  #checkWrite(before: typeof this.document.text): void {
    const key = podDenials.key;
    const after = this.document.text;
    const isReadable = podDenials.parse(after?.data[key]).kind === "read";
    const denied = this.document.denied(before);
    if (denied === undefined) {
      if (before?.data[key] !== after?.data[key]) {
        this.#errors.push("a replica replaced a text that cannot be read");
      }
      return;
    }
    if (!isReadable) this.#errors.push("a replica wrote a text that cannot be read");
    for (const uid of denied) {
      if (this.document.denied(after)?.has(uid)) continue;
      if (this.#existing.has(uid)) this.#errors.push(`the denial of pod ${uid} was removed`);
      else this.counts.ended++;
    }
  }

  /** Verifies the claims about a state in which the replicas have nothing to do. */
  #observe(): void {
    const written = this.document.denied(this.document.text);
    for (const replica of this.#running()) this.#observeReplica(replica, written);
    if (written === undefined || this.#running().length === 0) this.#disturb();
    if (this.#running().some(({ document }) => !document.findsPods)) this.#disturb();
    this.#observeEnds();
    if (written === undefined) return;
    const { data } = this.document.text ?? {};
    if (data !== undefined) this.#copies.push({ ...data });
    const known = this.#running().map(({ document }) => document.known);
    for (const uid of this.#denied) {
      if (written.has(uid) || known.some((uids) => uids.has(uid))) continue;
      this.#denied.delete(uid);
      if (this.#existing.has(uid)) this.counts.lost++;
    }
  }

  #observeReplica(
    { document, revocation, denials }: Replica,
    written: ReadonlySet<string> | undefined,
  ): void {
    for (const uid of document.known) {
      if (!this.#existing.has(uid)) continue;
      if (revocation.deniedSince(uid) === undefined) {
        this.#errors.push(`a replica has forgotten the denial of pod ${uid}`);
      }
      if (document.isWatching && written?.has(uid) === false) {
        this.#errors.push(`the denial of pod ${uid} was not written again`);
      }
    }
    if (document.isWatching) {
      for (const uid of written ?? []) {
        if (!document.known.has(uid)) this.#errors.push(`a replica does not know of pod ${uid}`);
      }
      if (written !== undefined && !denials.isLoaded) this.#errors.push("a replica is not loaded");
    }
    for (const { podUid } of denials.pods()) {
      if (this.#targeted.has(podUid)) continue;
      this.#errors.push(`pod ${podUid} is denied, and was never revoked`);
    }
  }

  /** A denial with a name ends within a time after its pod is gone, unless something prevents it. */
  #observeEnds(): void {
    const text = this.document.text?.data[podDenials.key];
    const parsed = podDenials.parse(text);
    const lists = this.#running().map(({ denials }) => denials.pods());
    if (parsed.kind === "read") lists.push([...parsed.denials.values()]);
    const now = this.clock.now();
    for (const { podUid, pod } of lists.flat()) {
      const goneAt = this.#goneAt.get(podUid);
      if (goneAt === undefined || pod === undefined) continue;
      const last = [goneAt, this.#targeted.get(podUid) ?? goneAt, this.#disturbedAt]
        .sort(Temporal.Instant.compare).at(-1)!;
      if (Temporal.Instant.compare(now, last.add(endsAfter)) > 0) {
        this.#errors.push(`the denial of pod ${podUid}, which is gone, has not ended`);
      }
    }
  }
}
