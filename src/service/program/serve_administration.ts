import { dirname } from "node:path";
import { CertificateAdministration } from "../../shared/gen/certificate_service_pb.ts";
import { registerService, type ServerOptions, serveUnix } from "../../shared/grpc_server/server.ts";
import { type AdministrationParts, administrationService } from "../api/administration_service.ts";
import type { HealthService } from "../api/health_service.ts";
import { reflectionService } from "../api/reflection_service.ts";

/** The longest request is a revocation: a uid and 256 characters of a reason. */
const largestMessageBytes = 4 * 1024;

/**
 * Serves administration, gRPC health and reflection on a unix socket that only the service's own
 * user can open, until disposed. Whoever can execute a program in the service's container can call.
 */
export async function serveAdministration(
  path: string,
  parts: AdministrationParts,
  health: HealthService,
  onCall: NonNullable<ServerOptions["onCall"]>,
): Promise<AsyncDisposable> {
  health.setStatus(CertificateAdministration.typeName, true);
  const services = [
    registerService(CertificateAdministration, administrationService(parts)),
    health.registered(),
  ];
  // A directory that is missing is made for this user alone; the socket has mode 0600 in any case.
  await Deno.mkdir(dirname(path), { recursive: true, mode: 0o700 });
  return await serveUnix(path, {
    services: [...services, reflectionService(services)],
    maxMessageBytes: largestMessageBytes,
    onCall,
  });
}
