import { createPrivateKey, X509Certificate } from "node:crypto";
import type {
  ClientIdentity,
  ClientIdentitySource,
  ConnectionObservation,
} from "../../shared/grpc_client/client_identity.ts";
import type { Clock } from "../../shared/scheduler/clock.ts";
import { readCertificates } from "../../shared/x509/certificate.ts";
import { CurrentIdentity } from "./current_identity.ts";
import { describeFileError } from "../../shared/text/file_error.ts";

/** The pause between two reads of the files: far below a third of the lifetime of any certificate in files. */
const readAgainMs = 30_000;

export interface IdentityFiles {
  /** PEM, the leaf first. */
  readonly certificateFile: string;
  readonly privateKeyFile: string;
}

/** The client certificate that another program writes into two files, for a service with AUTHENTICATION=mtls. */
export class FileIdentity implements ClientIdentitySource, Disposable {
  readonly #files: IdentityFiles;
  readonly #clock: Clock;
  readonly #identity: CurrentIdentity;
  #problem: string | undefined;
  #timer: Disposable | undefined;

  private constructor(files: IdentityFiles, clock: Clock) {
    this.#files = files;
    this.#clock = clock;
    this.#identity = new CurrentIdentity(clock);
  }

  /** Reads the files, now and every half a minute until disposed. */
  static open(files: IdentityFiles, clock: Clock): FileIdentity {
    const identity = new FileIdentity(files, clock);
    identity.#readAgain();
    return identity;
  }

  get problem(): string | undefined {
    return this.#problem;
  }

  current(): ClientIdentity | undefined {
    // Files that are written late are read at once.
    if (this.#identity.get() === undefined) this.#read();
    return this.#identity.get();
  }

  onChange(listener: () => void): Disposable {
    return this.#identity.onChange(listener);
  }

  /** The files may have just been replaced by ones that the service accepts. */
  report(observation: ConnectionObservation): void {
    if (observation !== "answered") this.#read();
  }

  #readAgain(): void {
    this.#read();
    this.#timer = this.#clock.after(readAgainMs, () => this.#readAgain());
  }

  #read(): void {
    const { certificateFile, privateKeyFile } = this.#files;
    const certificatePem = this.#readFile("CERT_SERVICE_CLIENT_CERT_FILE", certificateFile);
    if (certificatePem === undefined) return;
    const privateKeyPem = this.#readFile("CERT_SERVICE_CLIENT_KEY_FILE", privateKeyFile);
    if (privateKeyPem === undefined) return;
    const old = this.#identity.get();
    const isSame = old?.certificatePem === certificatePem && old.privateKeyPem === privateKeyPem;
    const notAfter = readCertificates(certificatePem)?.[0]?.notAfter;
    if (notAfter === undefined || !isPair(certificatePem, privateKeyPem)) {
      this.#problem = `the client certificate ${certificateFile} and the key ${privateKeyFile} ` +
        "do not match, or one of them is not PEM: set " +
        "CERT_SERVICE_CLIENT_CERT_FILE and CERT_SERVICE_CLIENT_KEY_FILE to a certificate and its key";
      return;
    }
    this.#problem = undefined;
    if (isSame) return;
    const remaining = notAfter.since(this.#clock.now()).total("milliseconds");
    this.#identity.replace(certificatePem, privateKeyPem, remaining);
  }

  #readFile(variable: string, path: string): string | undefined {
    try {
      return Deno.readTextFileSync(path);
    } catch (error) {
      this.#problem = describeFileError(`the file ${path} (${variable})`, error);
      return undefined;
    }
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#identity[Symbol.dispose]();
  }
}

/** False also for files in the middle of their replacement. */
function isPair(certificatePem: string, privateKeyPem: string): boolean {
  try {
    return new X509Certificate(certificatePem).checkPrivateKey(createPrivateKey(privateKeyPem));
  } catch {
    return false;
  }
}
