import { dirname } from "node:path";
import { CertificateAdministration } from "../../shared/gen/certificate_service_pb.ts";
import { registerService, type ServerOptions, serveUnix } from "../../shared/grpc_server/server.ts";
import { type AdministrationParts, administrationService } from "../api/administration_service.ts";
import type { HealthService } from "../api/health_service.ts";
import { reflectionService } from "../api/reflection_service.ts";

/** The longest request is a revocation with a uid and a reason of 256 characters. */
const maxMessageBytes = 4 * 1024;

/**
 * Serves administration, gRPC health and reflection on a unix socket that only the service's own
 * user and root can open, until disposed. Every process of that user in the container can call it.
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
  // A missing directory is made for this user alone. The socket has mode 0600 in any case.
  await Deno.mkdir(dirname(path), { recursive: true, mode: 0o700 });
  return await serveUnix(path, {
    services: [...services, reflectionService(services)],
    maxMessageBytes,
    onCall,
  });
}
