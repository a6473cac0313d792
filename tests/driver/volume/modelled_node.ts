import assert from "node:assert/strict";
import { trustBundlePem } from "../../../src/driver/certificates/certificate_requester.ts";
import { recordDirectoryName } from "../../../src/driver/records/record_directory_name.ts";
import type {
  IssueOutcome,
  IssueRequest,
} from "../../../src/driver/certificates/issuance_client.ts";
import type { Volume } from "../../../src/driver/volume/volume_record.ts";
import {
  type Certificate,
  readCertificate,
  readCertificates,
} from "../../../src/shared/x509/certificate.ts";
import { derivePublicKey } from "../../../src/shared/crypto/key_pairs.ts";
import { TestNode } from "../../support/node.ts";

export type ServiceState = "up" | "away" | "denying" | "throttling" | "silent";

const mostSilentMs = 20_000;
/** On a busy disk a record takes seconds. */
const turns = 10_000_000;

/** A node whose service answers in different ways, and a record of their requests and answers. */
export class ModelledNode implements AsyncDisposable {
  readonly node: TestNode;
  service: ServiceState = "up";
  /** The last leaf that was issued for a volume, by its id. */
  readonly issued = new Map<string, Certificate>();
  /** Requests by volume id, answered or not. */
  readonly requests = new Map<string, number>();
  /** Called when the next request arrives. */
  onRequest: () => void = () => {};
  #silent = 0;

  private constructor(node: TestNode) {
    this.node = node;
    node.issuer.answer = (request, signal) => this.#answer(request, signal);
  }

  static async create(): Promise<ModelledNode> {
    const real = new ModelledNode(await TestNode.create());
    await real.node.restart();
    return real;
  }

  get nowMs(): number {
    return this.node.clock.now().epochMilliseconds;
  }

  /** Runs everything that is due, until it ends or waits for a silent service. */
  async settle(): Promise<void> {
    const { clock } = this.node;
    await clock.advance({ milliseconds: 0 });
    await clock.until(() => this.node.scheduler.running <= this.#silent, turns);
  }

  /** Advances the clock in steps that are short enough for what begins in one to end before the next. */
  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= mostSilentMs) {
      await this.node.clock.advance({ milliseconds: Math.min(left, mostSilentMs) });
      await this.settle();
    }
  }

  /** The outcome of a call, also while the service is silent: then after the longest wait. */
  async outcomeOf<T>(calling: Promise<T>): Promise<T> {
    let ended = false;
    const end = () => void (ended = true);
    calling.then(end, end);
    const silent = this.#silent;
    await this.node.clock.until(() => ended || this.#silent > silent, turns);
    if (!ended) {
      await this.node.clock.advance({ milliseconds: mostSilentMs });
      await this.node.clock.until(() => ended, turns);
    }
    return await calling;
  }

  /** Nothing remains where a volume was. */
  async assertGone({ targetPath, volumeId }: Volume): Promise<void> {
    await assert.rejects(Deno.lstat(targetPath), Deno.errors.NotFound);
    assert.equal(this.node.table.get(volumeId), undefined, "no entry in the table");
    assert.equal(this.node.scheduler.nextRun(volumeId), undefined, "no schedule");
  }

  /** The pod sees the last certificate that was issued for its volume, its key and a bundle. */
  async assertWhole({ targetPath, volumeId }: Volume): Promise<Certificate> {
    const read = (name: string) => Deno.readTextFile(`${targetPath}/${name}`);
    const leaf = readCertificates(await read("tls.crt"))?.[0];
    assert.ok(leaf);
    assert.deepEqual(await derivePublicKey(await read("tls.key")), leaf.spki, "the key fits");
    assert.equal(leaf.serialNumber, this.issued.get(volumeId)?.serialNumber, "the last issued");
    assert.ok(readCertificates(await read("ca.crt"))?.length, "a trust bundle");
    const names = [...Deno.readDirSync(targetPath)].map(({ name }) => name);
    assert.ok([5, 6].includes(names.length), `the files, and at most the previous ones: ${names}`);
    return leaf;
  }

  async bundleOf({ targetPath }: Volume): Promise<string> {
    return await Deno.readTextFile(`${targetPath}/ca.crt`);
  }

  get bundle(): string {
    return trustBundlePem(this.node.issuer.trustBundle);
  }

  get recordNames(): string[] {
    return [...Deno.readDirSync(`${this.node.directory}/records`)].map(({ name }) => name).sort();
  }

  recordPath(request: Volume): string {
    return `${this.node.directory}/records/${recordDirectoryName(request)}`;
  }

  async hasRecord(request: Volume): Promise<boolean> {
    const { records } = await this.node.store.load();
    return records.some(({ volumeId }) => volumeId === request.volumeId);
  }

  async isWhole(request: Volume): Promise<boolean> {
    return await this.assertWhole(request).then(() => true, () => false);
  }

  /** Removes a damaged record, as an operator does. */
  async discardRecord(request: Volume): Promise<void> {
    await Deno.remove(this.recordPath(request), { recursive: true }).catch(() => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.node[Symbol.asyncDispose]();
  }

  async #answer(request: IssueRequest, signal: AbortSignal): Promise<IssueOutcome> {
    this.requests.set(request.volumeId, (this.requests.get(request.volumeId) ?? 0) + 1);
    this.onRequest();
    switch (this.service) {
      case "up": {
        const answer = await this.node.issuer.sign(request);
        signal.throwIfAborted();
        const leaf = answer.kind === "issued" && answer.chain[0] &&
          readCertificate(answer.chain[0]);
        if (leaf) this.issued.set(request.volumeId, leaf);
        return answer;
      }
      case "away":
        return { kind: "unavailable", reason: "away" };
      case "denying":
        return { kind: "denied", reason: "not yours" };
      case "throttling": {
        const retryAfter = Temporal.Duration.from({ seconds: 30 });
        return { kind: "overloaded", reason: "busy", retryAfter };
      }
      case "silent":
        return await this.#neverAnswer(signal);
    }
  }

  #neverAnswer(signal: AbortSignal): Promise<never> {
    signal.throwIfAborted();
    this.#silent++;
    return new Promise((_, reject) =>
      signal.addEventListener("abort", () => {
        this.#silent--;
        reject(signal.reason);
      })
    );
  }
}
