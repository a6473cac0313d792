import { connect, createServer, type Server, type TLSSocket } from "node:tls";

/** The files of a pod's volume. */
export interface VolumeFiles {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
  readonly trustBundlePem: string;
}

/**
 * A pod's program: serves TLS to clients that its trust bundle verifies, and calls others in the same
 * way; it loads its volume's files when they change, and keeps its open connections.
 */
export class TlsProgram implements Disposable {
  readonly #name: string;
  readonly #server: Server;
  readonly #sockets = new Set<TLSSocket>();
  #files: VolumeFiles;
  #port = 0;

  private constructor(name: string, files: VolumeFiles) {
    this.#name = name;
    this.#files = files;
    const options = { ...secrets(files), requestCert: true, rejectUnauthorized: true };
    this.#server = createServer({ ...options, minVersion: "TLSv1.2" }, (socket) => {
      this.#sockets.add(socket);
      socket.on("error", () => {});
      socket.on("data", (bytes) => socket.write(bytes));
    });
  }

  static async start(name: string, files: VolumeFiles): Promise<TlsProgram> {
    const program = new TlsProgram(name, files);
    const { promise, resolve } = Promise.withResolvers<void>();
    program.#server.listen(0, "127.0.0.1", () => resolve());
    await promise;
    const address = program.#server.address();
    program.#port = typeof address === "object" && address ? address.port : 0;
    return program;
  }

  /** The present files of its volume. */
  get files(): VolumeFiles {
    return this.#files;
  }

  reload(files: Partial<VolumeFiles>): void {
    this.#files = { ...this.#files, ...files };
    this.#server.setSecureContext(secrets(this.#files));
  }

  /** One handshake and one exchange with another program; undefined, or what failed. */
  async call(other: TlsProgram): Promise<string | undefined> {
    const open = await this.open(other);
    if (typeof open === "string") return open;
    using connection = open;
    return await connection.exchange();
  }

  /** A connection that remains open, or why there is none. */
  async open(other: TlsProgram): Promise<OpenConnection | string> {
    const { promise, resolve } = Promise.withResolvers<OpenConnection | string>();
    const socket = connect({
      port: other.#port,
      host: "127.0.0.1",
      servername: other.#name,
      minVersion: "TLSv1.2",
      ...secrets(this.#files),
    });
    socket.on("error", (error: Error) => resolve(`${this.#name}: ${error.message}`));
    socket.on("secureConnect", () => resolve(new OpenConnection(socket)));
    return await promise;
  }

  [Symbol.dispose](): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }
}

/** An open connection that returns whatever is sent. */
export class OpenConnection implements Disposable {
  readonly #socket: TLSSocket;
  #settle: (problem: string | undefined) => void = () => {};

  constructor(socket: TLSSocket) {
    this.#socket = socket;
    socket.on("data", () => this.#settle(undefined));
    socket.on("error", (error: Error) => this.#settle(error.message));
    // With TLS 1.3 a server rejects the client after the client's handshake.
    socket.on("close", () => this.#settle("closed by the other side"));
  }

  /** Undefined when it went there and back, else what failed. */
  async exchange(): Promise<string | undefined> {
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    this.#settle = resolve;
    if (this.#socket.destroyed) return "closed before";
    this.#socket.write("x");
    return await promise;
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}

function secrets({ certificatePem, privateKeyPem, trustBundlePem }: VolumeFiles) {
  return { cert: certificatePem, key: privateKeyPem, ca: trustBundlePem };
}
