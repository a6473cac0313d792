import assert from "node:assert/strict";
import type { status } from "@grpc/grpc-js";
import { ServingCertificate } from "../../src/service/issuing/serving_certificate.ts";
import {
  CertificateAdministration,
  CertificateService,
} from "../../src/shared/gen/certificate_service_pb.ts";
import { type Client, connect } from "../../src/shared/grpc_client/client.ts";
import { RpcError } from "../../src/shared/grpc/rpc_error.ts";
import { registerService, serveTcp, serveUnix } from "../../src/shared/grpc_server/server.ts";
import { administrationService } from "../../src/service/api/administration_service.ts";
import { certificateService } from "../../src/service/api/certificate_service.ts";
import { ApiClient } from "../../src/service/kubernetes/api_client.ts";
import { shippedPermissions } from "../../src/service/kubernetes/permissions.ts";
import { KubernetesPodDirectory } from "../../src/service/kubernetes/pod_directory.ts";
import { TokenAuthenticator } from "../../src/service/kubernetes/token_authenticator.ts";
import { type Certificate, readCertificate } from "../../src/shared/x509/certificate.ts";
import { createCertificateRequest } from "../../src/shared/x509/certificate_request.ts";
import { generateKeyPair } from "../../src/shared/crypto/key_pairs.ts";
import { encodePem } from "../../src/shared/crypto/pem.ts";
import { makeCa, openAuthority } from "../support/service_fixture.ts";
import { accessTo, driver } from "../service/kubernetes/kubernetes_fixture.ts";
import { podObject } from "../../scripts/support/api_pod.ts";
import { ApiServer } from "../../scripts/support/api_server.ts";
import type { TokenOptions } from "../../scripts/support/api_tokens.ts";
import { temporaryFolder } from "../support/temporary_folder.ts";
import { FakeClock } from "../../scripts/support/fake_clock.ts";

export const serverName = "cert-service.csi-cert-driver.internal";
export const wait = { timeoutMs: 20_000 };

/** The pod that `podObject` makes, as its driver names it. */
export const pod = {
  namespace: "shop",
  name: "web-0",
  uid: "0f8fad5b-d9cb-469f-a165-70867728950e",
  serviceAccount: "web",
};

export type Requested = Awaited<ReturnType<typeof request>>;

/** What node-1's driver asks for; the pod's volume is called "certs". */
export async function request(changed: Partial<{ certificateRequest: Uint8Array }> = {}) {
  return {
    certificateRequest: changed.certificateRequest ??
      await createCertificateRequest(await generateKeyPair("ecdsa-p256")),
    pod: { ...pod },
    volume: { id: "csi-1", name: "certs", attributes: {} as Record<string, string> },
  };
}

export type ServiceClient = Client<typeof CertificateService>;
export type AttackedService = Awaited<ReturnType<typeof openService>>;

/** The service as it runs in a cluster: real TLS, real signing, a real API server's answers. */
export async function openService() {
  await using stack = new AsyncDisposableStack();
  // TLS and the API server look at the machine's clock.
  const clock = new FakeClock(Temporal.Now.instant());
  const api = stack.use(await ApiServer.start());
  api.rules = shippedPermissions;
  const connection = stack.use(new ApiClient(accessTo(api), { clock }));
  const material = await makeCa({}, clock.now());
  const pods = new KubernetesPodDirectory(connection);
  const authority = stack.use(await openAuthority({ clock, material, pods }));
  const implementation = certificateService({
    ...authority,
    authenticator: new TokenAuthenticator({ connection, clock, driver }),
  });
  const server = stack.use(
    await serveTcp("127.0.0.1:0", {
      services: [registerService(CertificateService, implementation)],
      maxMessageBytes: 512 * 1024,
      graceMs: 100,
      tls: stack.use(await ServingCertificate.start(authority)),
    }),
  );
  const folder = stack.use(await temporaryFolder());
  const admin = stack.use(
    await serveUnix(`${folder.path}/admin.sock`, {
      services: [registerService(CertificateAdministration, administrationService(authority))],
      graceMs: 100,
    }),
  );
  const administrator = stack.use(
    connect(CertificateAdministration, { address: `unix://${admin.path}` }),
  );
  const anchorPem = encodePem("CERTIFICATE", material.issuer.certificate.der);
  const clients = new Map<string | undefined, ServiceClient>();
  const as = (token: string | undefined): ServiceClient => {
    const known = clients.get(token);
    if (known !== undefined) return known;
    const client = stackKept.use(
      connect(CertificateService, {
        address: `https://127.0.0.1:${server.port}`,
        trustBundle: () => anchorPem,
        serverName,
        ...(token === undefined ? {} : { token: () => Promise.resolve(token) }),
      }),
    );
    clients.set(token, client);
    return client;
  };
  const token = (options?: TokenOptions) => api.tokens.make(options);
  const stackKept = stack.move();
  return {
    ...authority,
    api,
    port: server.port,
    anchorPem,
    token,
    as,
    /** Calls the administrator's methods on the drivers' port, as the driver of node-1. */
    administrationByDriver: stackKept.use(
      connect(CertificateAdministration, {
        address: `https://127.0.0.1:${server.port}`,
        trustBundle: () => anchorPem,
        serverName,
        token: () => Promise.resolve(token()),
      }),
    ),
    /** Calls over the local socket. */
    administrator,
    /** The driver of node-1. */
    driver: as(token()),
    put: (given: Parameters<typeof podObject>[0] = {}) => api.objects.put("pods", podObject(given)),
    [Symbol.asyncDispose]: () => stackKept.disposeAsync(),
  };
}

/** The error that a call has to end with. */
export async function refusal(call: Promise<unknown>): Promise<RpcError> {
  const error = await call.then(() => undefined, (error) => error);
  assert(error instanceof RpcError, `not refused: ${error}`);
  return error;
}

/** The leaf of an answer. */
export function leafOf({ certificateChain }: { certificateChain: Uint8Array[] }): Certificate {
  const leaf = readCertificate(certificateChain[0] ?? new Uint8Array());
  assert(leaf !== undefined);
  return leaf;
}

/** What somebody tries, and how it has to end. */
export interface Attack {
  readonly attack: string;
  readonly run: (service: AttackedService) => Promise<unknown>;
  readonly code: status;
  readonly message: RegExp;
  /** How often the API server may be asked; unbounded unless told. */
  readonly calls?: number;
}

export async function issueAs(service: AttackedService, token: string | undefined) {
  return await service.as(token).issueCertificate(await request(), wait);
}

/** What node-1's driver gets for the pod, named with these changes. */
export async function issue(service: AttackedService, changed: Partial<typeof pod> = {}) {
  const asked = await request();
  return await service.driver.issueCertificate({ ...asked, pod: { ...pod, ...changed } }, wait);
}
