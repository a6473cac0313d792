import { connect as connectSocket } from "node:net";
import { CertificateAdministration } from "../../shared/gen/certificate_service_pb.ts";
import { type Client, connect } from "../../shared/grpc_client/client.ts";

export type AdministrationClient = Client<typeof CertificateAdministration> & Disposable;

export type ConnectResult =
  | { readonly kind: "connected"; readonly client: AdministrationClient }
  | { readonly kind: "failed"; readonly problem: string };

/** Connects to the local socket of a running service, or reports why it cannot and what to do. */
export async function connectAdministration(path: string): Promise<ConnectResult> {
  // Tried first without gRPC, whose errors do not name the cause.
  const code = await connectionError(path);
  if (code !== undefined) return { kind: "failed", problem: connectionProblem(path, code) };
  return {
    kind: "connected",
    client: connect(CertificateAdministration, { address: `unix://${path}` }),
  };
}

/** The system's error code; undefined when a process accepts the connection. */
function connectionError(path: string): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const socket = connectSocket({ path });
  socket.once("connect", () => resolve(undefined));
  socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  return promise.finally(() => socket.destroy());
}

function connectionProblem(path: string, code: string): string {
  switch (code) {
    case "ENOENT":
      return `there is no socket ${path}: no cert-service that was started with ` +
        `ADMIN_SOCKET=${path} runs here; run the command in the service's container, or set ` +
        "ADMIN_SOCKET to the path that the service has";
    case "EACCES":
    case "EPERM":
      return `cannot open the socket ${path}: permission denied; run the command as the user of ` +
        "cert-service or as root";
    case "ECONNREFUSED":
      return `no process serves the socket ${path}: cert-service has ended, or serves another ` +
        "path; see its log and its ADMIN_SOCKET";
    default:
      return `cannot connect to the socket ${path}: ${code}; see the log of cert-service`;
  }
}
