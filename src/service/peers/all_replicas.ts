import { create } from "@bufbuild/protobuf";
import {
  type CertificateInfo,
  CertificateState,
  type ListCertificatesRequest,
  ListCertificatesRequestSchema,
  type NodeInfo,
} from "../../shared/gen/certificate_service_pb.ts";
import { mergeLists, type PageSource } from "./merged_list.ts";
import type { MissingReplica, Peers } from "./peers.ts";

/** This replica's part of the inventory. */
export interface OwnCertificates {
  /** The certificate with this serial number, or the one that has replaced it in its volume. */
  find(serialNumber: string): CertificateInfo | undefined;
  pages(filter: ListCertificatesRequest): PageSource;
  /** The nodes that reported to this replica. */
  nodes(): readonly NodeInfo[];
}

/** What the replicas have of a certificate. */
export interface FoundCertificate {
  /** The current certificate of its volume, which can have another serial number; undefined: none has it. */
  readonly current: CertificateInfo | undefined;
  readonly missing: readonly MissingReplica[];
}

/** A list whose `missing` is complete when its pages have ended. */
export interface CompleteList {
  readonly pages: PageSource;
  readonly missing: readonly MissingReplica[];
}

/** The inventory of all replicas. */
export class AllReplicas {
  readonly #own: OwnCertificates;
  readonly #peers: Pick<Peers, "find" | "lists" | "nodes"> | undefined;

  /** Without peers this replica answers alone. */
  constructor(own: OwnCertificates, peers: Pick<Peers, "find" | "lists" | "nodes"> | undefined) {
    this.#own = own;
    this.#peers = peers;
  }

  async find(serialNumber: string): Promise<FoundCertificate> {
    const { answers, missing } = await this.#peers?.find(serialNumber) ??
      { answers: [], missing: [] };
    const known = [this.#own.find(serialNumber), ...answers.map(({ certificate }) => certificate)]
      .filter((certificate) => certificate !== undefined);
    // A report can name another pod than the replica that issued the certificate.
    const first = known.find(({ reported }) => !reported) ?? known[0];
    if (first === undefined) return { current: undefined, missing };
    // A replica that renewed it does not know that it did, unless it had issued it too.
    const list = await this.list(
      create(ListCertificatesRequestSchema, {
        podUid: first.pod?.uid ?? "",
        includeReleased: true,
      }),
    );
    const ofPod: CertificateInfo[] = [];
    for await (const page of list.pages) ofPod.push(...page);
    const current = ofPod.find((one) => one.serialNumber === serialNumber) ??
      ofPod.find((one) => known.some((found) => one.serialNumber === found.serialNumber)) ??
      ofPod.find((one) => known.some((found) => one.volumeId === found.volumeId && !one.reported));
    return { current: current ?? first, missing: distinct([...missing, ...list.missing]) };
  }

  async list(filter: ListCertificatesRequest): Promise<CompleteList> {
    const missing: MissingReplica[] = [];
    // The replica to which the node reports knows that it released a volume; the others do not.
    const all = { ...filter, includeReleased: true };
    const others = await this.#peers?.lists(all, missing) ?? [];
    const pages = mergeLists([this.#own.pages(all), ...others]);
    return { pages: filter.includeReleased ? pages : withoutReleased(pages), missing };
  }

  /** The nodes of all replicas. A driver that now reports to another replica seems silent to the former one. */
  async nodes(): Promise<{ nodes: NodeInfo[]; missing: readonly MissingReplica[] }> {
    const missing: MissingReplica[] = [];
    const others = await this.#peers?.nodes(missing) ?? [];
    return { nodes: latestReports([...this.#own.nodes(), ...others]), missing };
  }
}

/** Of the reports of one node the latest, in the order of the nodes' names. */
function latestReports(all: readonly NodeInfo[]): NodeInfo[] {
  const latest = new Map<string, NodeInfo>();
  for (const node of all) {
    const known = latest.get(node.name);
    if (known === undefined || reportSecond(node) > reportSecond(known)) {
      latest.set(node.name, node);
    }
  }
  return [...latest.values()].sort((one, other) => one.name < other.name ? -1 : 1);
}

function reportSecond({ lastReportAt }: NodeInfo): bigint {
  return lastReportAt?.seconds ?? 0n;
}

async function* withoutReleased(pages: PageSource): PageSource {
  for await (const page of pages) {
    const present = page.filter(({ state }) => state !== CertificateState.RELEASED);
    if (present.length > 0) yield present;
  }
}

function distinct(missing: readonly MissingReplica[]): MissingReplica[] {
  return [...new Map(missing.map((one) => [one.address, one])).values()];
}
