import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import type { Clock } from "../scheduler/clock.ts";
import { errorMessage } from "../text/error_message.ts";
import type { Address } from "../text/network_address.ts";

export interface WatchedListenerOptions {
  readonly clock: Clock;
  readonly onConnection: (socket: Socket) => void;
  /** Receives a sentence on why nothing is accepted, and whether the listener has recovered from it. */
  readonly onProblem: (problem: string) => void;
  /** How often the listener is probed; 30 s unless given. */
  readonly probeEveryMs?: number | undefined;
}

const defaultProbeMs = 30_000;
/** A connection to this machine that is not accepted after this long is not accepted at all. */
const acceptMs = 5_000;
/** How many connections wait in the kernel. Deno 2.9 accepts all of them before it calls back. */
const backlog = 256;

/** A connection of this listener to itself. */
interface Probe {
  /** Its local port, once it is connected; undefined when it is not. */
  readonly port: Promise<number | undefined>;
  readonly onAccepted: () => void;
}

/**
 * A TCP listener that accepts again after file descriptors were used up. Deno 2.9's net.Server reports
 * no error then, and never accepts another connection. So the listener connects to itself from time to
 * time; when that is not accepted, it listens again on the same port.
 */
export class WatchedListener {
  readonly #options: WatchedListenerOptions;
  #server: Server;
  #port = 0;
  #hostname = "";
  #isClosed = false;
  #timer: Disposable | undefined;
  #probe: Probe | undefined;

  constructor(options: WatchedListenerOptions) {
    this.#options = options;
    this.#server = this.#createServer();
  }

  /** Listens and resolves with the port (port 0: any free one); rejects when it cannot. */
  async listen({ hostname, port }: Address): Promise<number> {
    this.#hostname = hostname;
    this.#port = await this.#listen(port);
    this.#probeLater();
    return this.#port;
  }

  /** Stops listening; connections that were accepted remain. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.[Symbol.dispose]();
    this.#server.close();
  }

  #createServer(): Server {
    return createServer({ noDelay: true }, (socket) => {
      if (this.#probe === undefined) this.#options.onConnection(socket);
      else void this.#receive(socket, this.#probe);
    });
  }

  /** It can be accepted before the probe's own end is known to be connected. */
  async #receive(socket: Socket, probe: Probe): Promise<void> {
    const { remotePort } = socket;
    // A client can reset its connection while this waits.
    socket.on("error", () => socket.destroy());
    if (remotePort === await probe.port) {
      socket.destroy();
      probe.onAccepted();
    } else if (!socket.destroyed) this.#options.onConnection(socket);
  }

  async #listen(port: number): Promise<number> {
    const server = this.#server;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once("error", reject);
    server.listen({ host: this.#hostname, port, backlog }, resolve);
    await promise;
    server.removeListener("error", reject);
    server.on("error", ({ message }) => {
      this.#options.onProblem(`cannot accept a connection: ${message}`);
    });
    return (server.address() as AddressInfo).port;
  }

  #probeLater(): void {
    if (this.#isClosed) return;
    const ms = this.#options.probeEveryMs ?? defaultProbeMs;
    this.#timer = this.#options.clock.after(ms, () => void this.#check());
  }

  async #check(): Promise<void> {
    // It does not listen when the last attempt to listen again failed.
    const accepts = this.#server.listening && await this.#acceptsConnections();
    if (!accepts && !this.#isClosed) await this.#listenAgain();
    this.#probeLater();
  }

  /** Whether a connection from here is accepted; true where none could be made, which shows nothing. */
  async #acceptsConnections(): Promise<boolean> {
    for (const host of loopbacksOf(this.#hostname)) {
      const isAccepted = await this.#acceptsFrom(host);
      if (isAccepted !== undefined) return isAccepted;
    }
    return true;
  }

  /** Undefined where no connection could be made. */
  async #acceptsFrom(host: string): Promise<boolean | undefined> {
    const { promise, resolve } = Promise.withResolvers<boolean | undefined>();
    const socket = connect({ host, port: this.#port });
    const port = Promise.withResolvers<number | undefined>();
    socket.on("connect", () => port.resolve(socket.localPort));
    socket.on("error", () => {
      port.resolve(undefined);
      resolve(undefined);
    });
    this.#probe = { port: port.promise, onAccepted: () => resolve(true) };
    using _late = this.#options.clock.after(acceptMs, () => resolve(false));
    try {
      return await promise;
    } finally {
      this.#probe = undefined;
      port.resolve(undefined);
      socket.destroy();
    }
  }

  async #listenAgain(): Promise<void> {
    this.#options.onProblem(`port ${this.#port} accepted no connection, so it listens again`);
    const stuck = this.#server;
    stuck.close();
    this.#server = this.#createServer();
    try {
      await this.#listen(this.#port);
    } catch (error) {
      const reason = errorMessage(error);
      this.#options.onProblem(`cannot listen again on port ${this.#port}: ${reason}`);
    }
    // It was closed while it began to listen.
    if (this.#isClosed) this.#server.close();
  }
}

/** Where a listener is reached on this machine. A machine can lack an address of one family. */
function loopbacksOf(hostname: string): readonly string[] {
  if (hostname === "::") return ["::1", "127.0.0.1"];
  return [hostname === "0.0.0.0" ? "127.0.0.1" : hostname];
}
