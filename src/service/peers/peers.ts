/**
 * This folder asks the other replicas of the service for their parts of the inventory, and merges
 * the answers. Its main types are `Peers`, `AllReplicas` and the port `PeerDirectory`. It never
 * returns an answer that lacks a replica without naming it. A replica that is asked asks no other.
 */

import { status } from "@grpc/grpc-js";
import type {
  CertificatePeers,
  FindCertificateResponse,
  ListCertificatesRequest,
  NodeInfo,
} from "../../shared/gen/certificate_service_pb.ts";
import { RpcError } from "../../shared/grpc/rpc_error.ts";
import type { Client } from "../../shared/grpc_client/client.ts";
import { abortable } from "../../shared/scheduler/abort_signals.ts";
import type { Clock } from "../../shared/scheduler/clock.ts";
import { errorMessage } from "../../shared/text/error_message.ts";
import { type Address, formatAddress } from "../../shared/text/network_address.ts";
import type { PageSource } from "./merged_list.ts";

/** Finds the addresses of all replicas; this one is among them, in general. */
export interface PeerDirectory {
  readonly names: readonly Address[];
  /** The addresses of a name: of one replica, or of several. */
  resolve(name: Address): Promise<readonly Address[]>;
}

export type PeerClient = Client<typeof CertificatePeers> & Disposable;

/** A replica that did not answer, so that its certificates are missing. */
export interface MissingReplica {
  readonly address: string;
  readonly reason: string;
}

export interface PeersOptions {
  /** This replica's id, by which it recognizes itself among those that it asks. */
  readonly replica: string;
  readonly directory: PeerDirectory;
  /** Rejects where there is no client certificate to connect with. */
  readonly connect: (address: Address) => Promise<PeerClient>;
  readonly clock: Pick<Clock, "after">;
}

/** A replica answers each question, and each page of a list, within this time. */
const answerMs = 2_000;

/** The other replicas of the service. */
export class Peers {
  readonly #options: PeersOptions;

  constructor(options: PeersOptions) {
    this.#options = options;
  }

  /** What the other replicas have of a certificate, and which of them did not answer. */
  async find(serialNumber: string) {
    const answers: FindCertificateResponse[] = [];
    const missing: MissingReplica[] = [];
    const ask = async (address: Address) => {
      try {
        using client = await this.#options.connect(address);
        using time = this.#timeLimit();
        const { signal } = time;
        const answer = await abortable(
          client.findCertificate({ serialNumber }, { signal }),
          signal,
        );
        if (answer.replica !== this.#options.replica) answers.push(answer);
      } catch (error) {
        missing.push(missingReplica(address, error));
      }
    };
    await Promise.all((await this.#addresses(missing)).map(ask));
    return { answers, missing };
  }

  /** A source for each other replica's list; one that fails ends early and is added to `missing`. */
  async lists(filter: ListCertificatesRequest, missing: MissingReplica[]): Promise<PageSource[]> {
    const addresses = await this.#addresses(missing);
    return addresses.map((address) => this.#list(address, filter, missing));
  }

  /** The nodes that reported to each other replica; one that fails is added to `missing`. */
  async nodes(missing: MissingReplica[]): Promise<NodeInfo[]> {
    const nodes: NodeInfo[] = [];
    const ask = async (address: Address) => {
      const answers = this.#answers(
        address,
        (client, signal) => client.listOwnNodes({}, { signal }),
        missing,
      );
      for await (const answer of answers) nodes.push(...answer.nodes);
    };
    await Promise.all((await this.#addresses(missing)).map(ask));
    return nodes;
  }

  /** The addresses of all names; one that cannot be resolved is added to `missing`. */
  async #addresses(missing: MissingReplica[]): Promise<readonly Address[]> {
    const { directory } = this.#options;
    const resolve = async (name: Address) => {
      try {
        using time = this.#timeLimit();
        return await abortable(directory.resolve(name), time.signal);
      } catch (error) {
        missing.push(missingReplica(name, error));
        return [];
      }
    };
    const found = (await Promise.all(directory.names.map(resolve))).flat();
    return [...new Map(found.map((address) => [formatAddress(address), address])).values()];
  }

  async *#list(
    address: Address,
    filter: ListCertificatesRequest,
    missing: MissingReplica[],
  ): PageSource {
    const answers = this.#answers(
      address,
      (client, signal) => client.listOwnCertificates({ filter }, { signal }),
      missing,
    );
    for await (const { certificates } of answers) yield certificates;
  }

  /** The messages of a replica's stream; none if it is this replica. One that fails is added to `missing`. */
  async *#answers<T extends { readonly replica: string }>(
    address: Address,
    ask: (client: PeerClient, signal: AbortSignal) => AsyncIterable<T>,
    missing: MissingReplica[],
  ): AsyncGenerator<T, void> {
    const ended = new AbortController();
    try {
      using client = await this.#options.connect(address);
      const reading = ask(client, ended.signal)[Symbol.asyncIterator]();
      for (;;) {
        const answer = await this.#next(reading);
        if (answer === undefined || answer.replica === this.#options.replica) return;
        yield answer;
      }
    } catch (error) {
      missing.push(missingReplica(address, error));
    } finally {
      ended.abort();
    }
  }

  async #next<T>(reading: AsyncIterator<T>): Promise<T | undefined> {
    using time = this.#timeLimit();
    const { done, value } = await abortable(reading.next(), time.signal);
    return done ? undefined : value;
  }

  #timeLimit() {
    const late = new AbortController();
    const timer = this.#options.clock.after(
      answerMs,
      () => late.abort(new Error(`it did not answer within ${answerMs / 1_000} s`)),
    );
    return { signal: late.signal, [Symbol.dispose]: () => timer[Symbol.dispose]() };
  }
}

function missingReplica(address: Address, error: unknown): MissingReplica {
  return { address: formatAddress(address), reason: reasonOf(error) };
}

function reasonOf(error: unknown): string {
  return error instanceof RpcError && error.code === status.UNIMPLEMENTED
    ? "it has an older version of the service"
    : errorMessage(error);
}
