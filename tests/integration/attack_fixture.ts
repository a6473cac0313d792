import assert from "node:assert/strict";
import type { status } from "@grpc/grpc-js";
import {
  CertificateAdministration,
  CertificateService,
} from "../../src/shared/gen/certificate_service_pb.ts";
import { type Client, connect } from "../../src/shared/grpc_client/client.ts";
import {
  type ClientIdentity,
  type ClientIdentitySource,
} from "../../src/shared/grpc_client/client_identity.ts";
import { createCa } from "../../src/service/admin/init_ca.ts";
import { shippedPermissions } from "../../src/service/kubernetes/permissions.ts";
import { serverName } from "../../src/shared/text/product_names.ts";
import { type Certificate, readCertificate } from "../../src/shared/x509/certificate.ts";
import { createCertificateRequest } from "../../src/shared/x509/certificate_request.ts";
import { exportPrivateKey, generateKeyPair } from "../../src/shared/crypto/key_pairs.ts";
import { encodePem } from "../../src/shared/crypto/pem.ts";
import { attestDriver } from "../support/attested_driver.ts";
import { composeService } from "../support/composed_service.ts";
import { writeKubeconfig } from "../support/kubeconfig.ts";
import { podObject } from "../../scripts/support/api_pod.ts";
import { ApiServer } from "../../scripts/support/api_server.ts";
import { temporaryFolder } from "../support/temporary_folder.ts";
import { FakeClock } from "../../scripts/support/fake_clock.ts";
import { fixedIdentity } from "../../src/shared/grpc_client/client_identity.ts";

export const wait = { timeoutMs: 30_000 };

/** The pod that `podObject` makes, as its driver names it. */
export const pod = {
  namespace: "shop",
  name: "web-0",
  uid: "0f8fad5b-d9cb-469f-a165-70867728950e",
  serviceAccount: "web",
};

/** The request of node-1's driver; the pod's volume is called "certs". */
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

/** The service as it runs in a cluster, with the drivers of node-1 and node-2 attested. */
export async function openService(changed: Record<string, string> = {}) {
  await using stack = new AsyncDisposableStack();
  // TLS and the API server use the machine's clock.
  const clock = new FakeClock(Temporal.Instant.fromEpochMilliseconds(Date.now()));
  const api = stack.use(await ApiServer.start());
  api.rules = shippedPermissions;
  const folder = stack.use(await temporaryFolder());
  const ca = await createCa(
    { algorithm: "ecdsa-p256", days: 10, commonName: "Test CA" },
    clock.now(),
  );
  api.objects.put("secrets", {
    metadata: { namespace: "csi-cert-system", name: "csi-ca-secret" },
    data: { "tls.crt": btoa(ca.certificatePem), "tls.key": btoa(ca.privateKeyPem) },
  });
  const variables = {
    KUBECONFIG: await writeKubeconfig(folder.path, api),
    CA_SECRET_NAMESPACE: "csi-cert-system",
    ADMIN_SOCKET: `${folder.path}/admin.sock`,
    ...changed,
  };
  const service = stack.use(await composeService(variables, clock));
  // The Secret and both documents: after that the service makes no call by itself.
  await clock.until(() => api.openWatches === 3 && service.denials?.isLoaded === true);
  const { address, attestationPort } = service;
  const trustBundlePem = ca.certificatePem;
  const tls = { address, trustBundle: () => trustBundlePem, serverName };
  const target = { api, address, attestationPort, folder: folder.path, trustBundlePem };
  const attest = async (node: string, generation?: number) =>
    kept.use(await attestDriver(target, node, clock, generation));
  const kept = stack.move();
  const [first, second] = [await attest("node-1"), await attest("node-2")];
  const connectAs = (clientIdentity: ClientIdentitySource | undefined) =>
    kept.use(connect(CertificateService, { ...tls, clientIdentity }));
  return {
    ...service,
    api,
    /** The environment of the service, and where its drivers attest and call. */
    variables,
    target,
    trustBundlePem,
    attest,
    /** The driver of node-1, which is the pod's. */
    driver: first.client,
    identity: first.identity,
    /** The driver of node-2. */
    otherDriver: second.client,
    /** A client with this certificate, or none. */
    as: (pair: ClientIdentity | undefined) => connectAs(pair && fixedIdentity(pair)),
    /** Calls the administrator's methods on the drivers' port, as the driver of node-1. */
    administrationByDriver: kept.use(
      connect(CertificateAdministration, { ...tls, clientIdentity: first.identity }),
    ),
    /** Calls over the local socket. */
    administrator: kept.use(
      connect(CertificateAdministration, { address: `unix://${variables.ADMIN_SOCKET}` }),
    ),
    put: (given: Parameters<typeof podObject>[0] = {}) => api.objects.put("pods", podObject(given)),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** A certificate as a pod has it in its volume: signed by the CA that signs for pods. */
export async function podPair(
  { signer }: Pick<AttackedService, "signer">,
  names: { readonly dnsNames?: string[]; readonly uris?: string[] },
): Promise<ClientIdentity> {
  const keys = await generateKeyPair("ecdsa-p256");
  const { dnsNames = [], uris = [] } = names;
  const signed = await signer.sign({
    publicKey: keys.publicKey,
    names: { commonName: "pod", organizationalUnits: [], dnsNames, ipAddresses: [], uris },
    validity: Temporal.Duration.from({ hours: 1 }),
    extendedKeyUsage: ["serverAuth", "clientAuth"],
  });
  assert(signed.kind === "signed");
  return {
    certificatePem: signed.chain.map((der) => encodePem("CERTIFICATE", der)).join(""),
    privateKeyPem: await exportPrivateKey(keys.privateKey),
  };
}

/** The leaf of an answer. */
export function leafOf({ certificateChain }: { certificateChain: Uint8Array[] }): Certificate {
  const leaf = readCertificate(certificateChain[0] ?? new Uint8Array());
  assert(leaf !== undefined);
  return leaf;
}

/** What an attacker tries, and the error that it has to receive. */
export interface Attack {
  readonly attack: string;
  readonly run: (service: AttackedService) => Promise<unknown>;
  readonly code: status;
  readonly message: RegExp;
  /** Why its connection is refused, where it is. */
  readonly refused?: string;
  /** How many calls to the API server it costs; not checked unless given. */
  readonly calls?: number;
}

export async function issueAs(client: ServiceClient) {
  return await client.issueCertificate(await request(), wait);
}

/** What node-1's driver gets for the pod, named with these changes. */
export async function issue(service: AttackedService, changed: Partial<typeof pod> = {}) {
  const asked = await request();
  return await service.driver.issueCertificate({ ...asked, pod: { ...pod, ...changed } }, wait);
}
