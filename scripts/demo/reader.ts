import { readCertificates } from "../../src/shared/x509/certificate.ts";
import { equalBytes } from "../../src/shared/crypto/der_reader.ts";
import { derivePublicKey } from "../../src/shared/crypto/key_pairs.ts";

/** What a reader saw so far. */
export interface Seen {
  reads: number;
  readonly serialNumbers: Set<string>;
  mismatches: number;
}

/** Reads the pair over and over, as a program that reloads its certificate would, until disposed. */
export class PairReader implements AsyncDisposable {
  readonly seen: Seen = { reads: 0, serialNumbers: new Set(), mismatches: 0 };
  readonly #directory: string;
  #stopped = false;
  #failure: unknown;
  readonly #loop: Promise<void>;

  constructor(directory: string) {
    this.#directory = directory;
    this.#loop = this.#run().catch((error) => {
      this.#failure = error;
    });
  }

  /** Throws what went wrong in the loop, if anything did. */
  check(): void {
    if (this.#failure) throw this.#failure;
    if (this.seen.mismatches > 0) {
      throw new Error(
        `${this.seen.mismatches} of ${this.seen.reads} reads saw a key that did not fit`,
      );
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    await this.#loop;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const pair = await this.#read();
      if (pair) await this.#hold(pair);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  /** Both files of one generation: `..data` is resolved once, as the kubelet's volumes are read. */
  async #read(): Promise<{ certificatePem: string; privateKeyPem: string } | undefined> {
    try {
      const generation = await Deno.realPath(`${this.#directory}/..data`);
      const [certificatePem, privateKeyPem] = await Promise.all([
        Deno.readTextFile(`${generation}/tls.crt`),
        Deno.readTextFile(`${generation}/tls.key`),
      ]);
      return { certificatePem, privateKeyPem };
    } catch (error) {
      // Swapped between the two steps: there is a newer generation to read.
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
  }

  async #hold(pair: { certificatePem: string; privateKeyPem: string }): Promise<void> {
    const leaf = readCertificates(pair.certificatePem)?.[0];
    const publicKey = await derivePublicKey(pair.privateKeyPem);
    const fits = leaf !== undefined && publicKey !== undefined &&
      equalBytes(leaf.spki, publicKey);
    this.seen.reads++;
    if (!fits) this.seen.mismatches++;
    else this.seen.serialNumbers.add(leaf.serialNumber);
  }
}
