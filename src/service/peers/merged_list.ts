import type { CertificateInfo } from "../../shared/gen/certificate_service_pb.ts";

/** A part of a list; its certificates are in the order of their pods' namespaces, names and uids. */
export type CertificatePage = readonly CertificateInfo[];
/** A list, page by page. Its pages are in order too. */
export type PageSource = AsyncGenerator<CertificatePage, void>;

/** As many as a page of one replica has; gRPC allows 4 MiB. */
const pageSize = 100;

/**
 * Merges the replicas' lists into one in the same order. Of the certificates that replicas know for
 * one volume it keeps the current one, by the rules of the inventory: a newer one replaces another
 * of the volume, but a reported one only that of the same node.
 */
export async function* mergeLists(sources: readonly PageSource[]): PageSource {
  const readers = sources.map((source) => new Reader(source));
  try {
    const page: CertificateInfo[] = [];
    for (;;) {
      const heads = await Promise.all(readers.map((reader) => reader.peek()));
      const present = heads.filter((head) => head !== undefined);
      if (present.length === 0) break;
      const first = present.reduce((least, head) => comparePods(head, least) < 0 ? head : least);
      const ofPod: CertificateInfo[] = [];
      for (const reader of readers) await reader.takeEqual(first, ofPod);
      page.push(...currentCertificates(ofPod));
      while (page.length >= pageSize) yield page.splice(0, pageSize);
    }
    if (page.length > 0) yield page;
  } finally {
    for (const source of sources) await source.return();
  }
}

/** The certificates of one pod that no other of them replaces. */
export function currentCertificates(ofPod: readonly CertificateInfo[]): CertificateInfo[] {
  if (ofPod.length < 2) return [...ofPod];
  return ofPod.filter((one, at) =>
    !ofPod.some((other, otherAt) => at !== otherAt && replaces(other, one, otherAt < at))
  );
}

/** Whether `other` is listed in place of `one`; of two that are equal, the first is listed. */
function replaces(other: CertificateInfo, one: CertificateInfo, isBefore: boolean): boolean {
  if (other.serialNumber === one.serialNumber) {
    const difference = other.node === one.node ? knowledge(other) - knowledge(one) : 0;
    if (difference !== 0) return difference > 0;
    return other.reported === one.reported ? isBefore : one.reported;
  }
  if (other.volumeId !== one.volumeId) return false;
  if (other.reported && other.node !== one.node) return false;
  const [newer, older] = [seconds(other), seconds(one)];
  return newer > older || newer === older && other.predecessorSerialNumber === one.serialNumber;
}

/** How much a replica knows of the volume: most if its node reports to it, and says more than that it exists. */
function knowledge({ nodeSilent, state }: CertificateInfo): number {
  return nodeSilent ? 0 : state;
}

function seconds({ notBefore }: CertificateInfo): bigint {
  return notBefore?.seconds ?? 0n;
}

/** Reads a source certificate by certificate. */
class Reader {
  readonly #source: PageSource;
  #page: CertificatePage = [];
  #at = 0;
  #isEnded = false;

  constructor(source: PageSource) {
    this.#source = source;
  }

  /** The next certificate, without taking it; undefined at the end. */
  async peek(): Promise<CertificateInfo | undefined> {
    while (this.#at === this.#page.length && !this.#isEnded) {
      const { done, value } = await this.#source.next();
      this.#isEnded = done === true;
      this.#page = value ?? [];
      this.#at = 0;
    }
    return this.#page[this.#at];
  }

  /** Takes all certificates of the pod that has `like`. */
  async takeEqual(like: CertificateInfo, into: CertificateInfo[]): Promise<void> {
    for (let next = await this.peek(); next !== undefined; next = await this.peek()) {
      if (comparePods(next, like) !== 0) return;
      into.push(next);
      this.#at++;
    }
  }
}

/** The order of lists: by the namespace, the name and the uid of the pod, each as bytes of ASCII. */
function comparePods(a: CertificateInfo, b: CertificateInfo): number {
  return compare(a.pod?.namespace, b.pod?.namespace) || compare(a.pod?.name, b.pod?.name) ||
    compare(a.pod?.uid, b.pod?.uid);
}

function compare(a = "", b = ""): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
