import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import type { Ca } from "./authorities.ts";
import { Background } from "./background.ts";
import { freePort } from "./service_process.ts";

const provisioner = "bench";
/** step-ca requires a name in each token; it is also the leaf's. */
const subject = "web-0.shop.svc.cluster.local";

/** step-ca with a CA; it has no database, so that it keeps only which tokens were used. */
export class StepCa implements AsyncDisposable {
  readonly #process: Background;
  readonly #url: string;
  readonly #client: Deno.HttpClient;
  readonly #key: KeyObject;
  /** Requests that were not sent yet. */
  readonly #bodies: string[] = [];
  #tokens = 0;

  private constructor(process: Background, url: string, client: Deno.HttpClient, key: KeyObject) {
    this.#process = process;
    this.#url = url;
    this.#client = client;
    this.#key = key;
  }

  static async start(program: string, directory: string, ca: Ca): Promise<StepCa> {
    // Of the keys that a token can be signed with, this one costs both sides least.
    const { publicKey, privateKey } = generateKeyPairSync("ed25519");
    const key = { ...publicKey.export({ format: "jwk" }), alg: "EdDSA", use: "sig", kid: "bench" };
    const address = `127.0.0.1:${freePort()}`;
    const config = `${directory}/step-ca-${ca.name}.json`;
    const { certificateFile, privateKeyFile } = ca;
    const settings = {
      root: certificateFile,
      crt: certificateFile,
      key: privateKeyFile,
      address,
      dnsNames: ["localhost"],
      logger: { format: "text" },
      authority: { provisioners: [{ type: "JWK", name: provisioner, key }] },
    };
    await Deno.writeTextFile(config, JSON.stringify(settings));
    const { process } = await Background.start([program, config], {
      directory,
      ready: (output) => output.includes("Serving HTTPS on") || undefined,
    });
    const caCerts = [await Deno.readTextFile(certificateFile)];
    const url = `https://localhost:${address.split(":")[1]}/1.0/sign`;
    return new StepCa(process, url, Deno.createHttpClient({ caCerts }), privateKey);
  }

  /** Prepares a number of requests, each with a token of its own: a token is accepted once. */
  prepare(count: number, pems: readonly string[]): void {
    while (this.#bodies.length < count) {
      const csr = pems[this.#bodies.length % pems.length];
      this.#bodies.push(JSON.stringify({ csr, ott: this.#token() }));
    }
  }

  /** Sends one of the requests; rejects when nothing was signed. */
  async sign(): Promise<void> {
    const body = this.#bodies.pop();
    if (body === undefined) throw new Error("no request for step-ca is left; prepare more");
    const answer = await fetch(this.#url, { method: "POST", body, client: this.#client });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`step-ca answered ${answer.status}: ${text}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client.close();
    await this.#process[Symbol.asyncDispose]();
  }

  #token(): string {
    // One that was issued in the second of its start would be from before it, to step-ca.
    const now = Math.floor(Date.now() / 1000) + 2;
    const claims = {
      aud: "https://localhost/1.0/sign",
      iss: provisioner,
      sub: subject,
      sans: [subject],
      nbf: now - 60,
      iat: now,
      exp: now + 3_600,
      jti: String(this.#tokens++),
    };
    const signed = [{ alg: "EdDSA", kid: "bench", typ: "JWT" }, claims]
      .map((part) => base64url(new TextEncoder().encode(JSON.stringify(part)))).join(".");
    return `${signed}.${base64url(sign(null, new TextEncoder().encode(signed), this.#key))}`;
  }
}

function base64url(bytes: Uint8Array): string {
  return bytes.toBase64({ alphabet: "base64url", omitPadding: true });
}
