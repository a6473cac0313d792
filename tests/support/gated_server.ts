import { Buffer } from "node:buffer";
import { once } from "node:events";
import { connect as connectPlain, type Socket } from "node:net";
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from "node:tls";
import { setImmediate as turn } from "node:timers/promises";
import { TestCa, type TestPair } from "../../scripts/support/test_ca.ts";
import { CertificateService } from "../../src/shared/gen/certificate_service_pb.ts";
import { connect } from "../../src/shared/grpc_client/client.ts";
import { fixedIdentity } from "../../src/shared/grpc_client/client_identity.ts";
import type { ServiceImplementation } from "../../src/shared/grpc/service_definition.ts";
import { serveTcp, type TcpServerOptions } from "../../src/shared/grpc_server/server.ts";
import { frame, frameFlag, frameType, preface } from "./http2_frames.ts";
import { TestPeers } from "./peers.ts";
import { stubService } from "./stub_service.ts";

export const serverName = "cert-service.csi-cert-driver.internal";

/** For tests that connect more often than any client. */
export const unlimited = {
  unknown: { perSecond: 1e9, burst: 1e9 },
  recognized: { perSecond: 1e9, burst: 1e9 },
};

type Methods = Partial<ServiceImplementation<typeof CertificateService>>;

/** A server that requires a client's certificate, and the actions of its tests. */
export async function gatedServer(
  { hostname = "127.0.0.1", ...options }: Partial<TcpServerOptions> & { hostname?: string } = {},
  methods: Methods = {},
) {
  const ca = await TestCa.create();
  const identity = { ...await ca.issue(serverName), clientAuthoritiesPem: ca.certificatePem };
  const tls = { current: () => identity, onChange: () => ({ [Symbol.dispose]() {} }) };
  const client = await ca.issue("spiffe://cluster.local/csi-cert-node/node-1");
  const peers = new TestPeers();
  const refusals: string[] = [];
  const services = [
    stubService(CertificateService, {
      reportCertificates: async () => {
        await turn();
        return {};
      },
      ...methods,
    }),
  ];
  const server = await serveTcp({ hostname, port: 0 }, {
    services,
    tls,
    peers,
    graceMs: 0,
    limits: { rates: unlimited },
    onRefusal: (why) => refusals.push(why),
    ...options,
  });
  return new GatedServer(server, { ca, client, peers, refusals });
}

interface Parts {
  readonly ca: TestCa;
  readonly client: TestPair;
  readonly peers: TestPeers;
  readonly refusals: string[];
}

type TcpServer = Awaited<ReturnType<typeof serveTcp>>;

export class GatedServer implements AsyncDisposable, Parts {
  readonly server: TcpServer;
  readonly ca: TestCa;
  readonly client: TestPair;
  readonly peers: TestPeers;
  readonly refusals: string[];

  constructor(server: TcpServer, { ca, client, peers, refusals }: Parts) {
    this.server = server;
    this.ca = ca;
    this.client = client;
    this.peers = peers;
    this.refusals = refusals;
  }

  /** A client of this project. */
  connect(client = this.client) {
    return connect(CertificateService, {
      address: `https://127.0.0.1:${this.server.port}`,
      trustBundle: () => this.ca.certificatePem,
      serverName,
      clientIdentity: fixedIdentity(client),
    });
  }

  /** Calls once over a connection of its own; rejects when that fails. */
  async call(): Promise<void> {
    using client = this.connect();
    await client.reportCertificates({}, { timeoutMs: 30_000 });
  }

  /** A TCP connection over which nothing is sent. */
  async openPlain(localAddress = "127.0.0.1"): Promise<Socket> {
    const { port } = this.server;
    const socket = connectPlain({ host: "127.0.0.1", port, localAddress });
    socket.on("error", () => {});
    await once(socket, "connect");
    return socket;
  }

  /** A TLS connection over which nothing was sent. */
  async openTls(options: ConnectionOptions = {}): Promise<TLSSocket> {
    const socket = connectTls({
      host: "127.0.0.1",
      port: this.server.port,
      ca: this.ca.certificatePem,
      cert: this.client.certificatePem,
      key: this.client.privateKeyPem,
      servername: serverName,
      ALPNProtocols: ["h2"],
      ...options,
    });
    socket.on("error", () => {});
    await once(socket, "secureConnect");
    return socket;
  }

  /** A connection on which both sides have sent their HTTP/2 settings. */
  async openSession(): Promise<TLSSocket> {
    const socket = await this.openTls();
    socket.write(Buffer.concat([preface, frame(frameType.settings, 0, 0)]));
    await once(socket, "data");
    socket.write(frame(frameType.settings, frameFlag.ack, 0));
    await turn();
    return socket;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
  }
}

/** Resolves when a connection has closed, for any reason. */
export function closed(socket: Socket): Promise<void> {
  socket.resume();
  return new Promise((resolve) => {
    if (socket.closed) resolve();
    else socket.once("close", () => resolve());
  });
}
