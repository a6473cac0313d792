import { getLogger } from "@logtape/logtape";
import type { Clock } from "../../shared/scheduler/clock.ts";
import { Listeners } from "../../shared/scheduler/listeners.ts";
import type { Scheduler } from "../../shared/scheduler/scheduler.ts";
import {
  type Certificate,
  describeCertificate,
  readCertificates,
} from "../../shared/x509/certificate.ts";
import type { CurrentCa } from "../ca/current_ca.ts";
import { clientCaRejectionReason, type ClientCaSource } from "./client_ca_source.ts";
import { type TextFile, watchTextFile } from "../documents/watched_file.ts";
import { type CaCertificates, findRelatedCa } from "../x509/related_ca.ts";

export interface ClientCasOptions {
  readonly file: TextFile;
  readonly currentCa: CurrentCa;
  readonly scheduler: Scheduler;
  readonly clock: Clock;
}

const logger = getLogger(["cert-service", "client-ca"]);

/**
 * The CAs of nodes' client certificates from CLIENT_CA_FILE, which is read again every 10 s. None of
 * them may be the CA that signs for pods, or its issuer: any pod would be accepted as a node.
 */
export class ClientCas implements ClientCaSource, AsyncDisposable {
  readonly #options: ClientCasOptions;
  readonly #listeners = new Listeners();
  #certificates: readonly Certificate[];
  #problem: string | undefined;
  /** The newest file is not used because of the CA that signed for pods when it was read. */
  #isRejectedForCa = false;
  readonly #resources = new AsyncDisposableStack();

  private constructor(options: ClientCasOptions, list: readonly Certificate[]) {
    this.#options = options;
    this.#certificates = list;
  }

  /** Rejects, with what is expected, when the file contains no CA certificate. */
  static async open(options: ClientCasOptions): Promise<ClientCas> {
    const { file, scheduler, clock, currentCa } = options;
    const pem = await file.read();
    const read = readClientCas(pem);
    if (typeof read === "string") throw new Error(`${file.name}: ${read}`);
    const opened = new ClientCas(options, read);
    const watch = watchTextFile({
      key: "client-ca",
      scheduler,
      clock,
      first: pem,
      read: file.read,
      onChange: (text) => opened.#change(text),
      onError: (problem) => opened.#reject(problem),
    });
    opened.#resources.use(watch);
    const onCaChange = () => {
      if (opened.#isRejectedForCa) watch.readAgain();
    };
    opened.#resources.use(currentCa.onChange(onCaChange));
    return opened;
  }

  /** The certificates in use. */
  get certificates(): readonly Certificate[] {
    return this.#certificates;
  }

  /** Why the newest file is not used. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Calls back each time other certificates come into use, until disposed. */
  onChange(listener: () => void): Disposable {
    return this.#listeners.add(listener);
  }

  /** Why a CA may not sign for pods while these CAs identify nodes; undefined when it may. */
  async rejectionReason(ca: CaCertificates): Promise<string | undefined> {
    return await podCaRejectionReason(this.#certificates, ca, this.#options.clock.now());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }

  async #change(pem: string): Promise<void> {
    const read = readClientCas(pem);
    if (typeof read === "string") return this.#reject(read);
    const { currentCa, clock } = this.#options;
    const { material, anchors } = currentCa;
    const chain = material ? [material.issuer.certificate, ...material.issuer.chain] : [];
    const problem = await podCaRejectionReason(read, { chain, roots: anchors }, clock.now());
    const isCurrent = currentCa.material === material && currentCa.anchors === anchors;
    // The CA has changed during the check, whose result is of the former one.
    if (!isCurrent) return await this.#change(pem);
    if (problem !== undefined) {
      this.#reject(problem);
      this.#isRejectedForCa = true;
      return;
    }
    this.#isRejectedForCa = false;
    this.#problem = undefined;
    this.#certificates = read;
    logger.info("the client CAs have changed: {count} certificates", { count: read.length });
    this.#listeners.call();
  }

  #reject(problem: string): void {
    this.#isRejectedForCa = false;
    if (problem === this.#problem) return;
    this.#problem = problem;
    logger.error("the new client CAs cannot be used, the previous ones remain in use: {problem}", {
      problem,
    });
  }
}

function readClientCas(pem: string): Certificate[] | string {
  const certificates = readCertificates(pem);
  if (certificates === undefined) return "it contains a certificate that is broken";
  if (certificates.length === 0) {
    return "it contains no certificate; expected PEM blocks CERTIFICATE";
  }
  for (const certificate of certificates) {
    const reason = clientCaRejectionReason(certificate);
    if (reason !== undefined) return reason;
  }
  return certificates;
}

/**
 * Why the CA that signs for pods must not be used together with the client CAs: what it signs would
 * be accepted as a client certificate. Undefined when it may.
 */
async function podCaRejectionReason(
  clientCas: readonly Certificate[],
  ca: CaCertificates,
  at: Temporal.Instant,
): Promise<string | undefined> {
  const related = await findRelatedCa(ca, clientCas, at);
  if (related === undefined) return undefined;
  const shown = `${describeCertificate(related.certificate)} of CLIENT_CA_FILE`;
  const relation = related.hasSameKey
    ? `${shown} has the key of a CA that signs for pods`
    : `the CA that signs for pods leads to ${shown}`;
  return `${relation}; give nodes a CA of their own`;
}
