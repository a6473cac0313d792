import type { Clock } from "../../shared/scheduler/clock.ts";
import type { Counter } from "../../shared/telemetry/metrics.ts";
import { allowAnonymous, type Authenticator } from "../access/authenticator.ts";
import type { ClientCaSource } from "../access/client_ca_source.ts";
import { ClientCertificateAuthenticator } from "../access/client_certificate_authenticator.ts";
import { DriverPodCheck } from "../access/driver_pod_check.ts";
import { NodeCertificateVerifier } from "../access/node_certificate_verifier.ts";
import type { SignatureEngine } from "../../shared/crypto/signature_engine.ts";
import {
  AttestationAudit,
  type AttestationAuditOptions,
} from "../attestation/attestation_audit.ts";
import { AttestationEndpoint } from "../attestation/attestation_endpoint.ts";
import { AttestationLimits } from "../attestation/attestation_limits.ts";
import { Attestor } from "../attestation/attestor.ts";
import { KeySetCache } from "../attestation/key_set_cache.ts";
import { TokenVerifier } from "../attestation/token_verifier.ts";
import { NodeCas } from "../ca/node_cas.ts";
import { derivedNodeIssuer } from "../issuing/derived_node_issuer.ts";
import type { Cluster } from "../kubernetes/cluster.ts";
import { openThreadedVerifier } from "../openssl/threaded_verifier.ts";
import type { RunningService } from "./compose.ts";
import type { ServiceConfig } from "./config.ts";

/** How nodes are authenticated: on each connection, and on each call. */
export interface NodeAccess {
  /** Undefined with AUTHENTICATION=none: every caller is accepted. */
  readonly verifier: NodeCertificateVerifier | undefined;
  /** The CAs of nodes' client certificates. */
  readonly clientCas: ClientCaSource | undefined;
  readonly authenticator: Authenticator;
}

/** Opens the checks of nodes' client certificates. */
export function openNodeAccess(
  { authentication, trustDomain }: ServiceConfig,
  clientCas: ClientCaSource | undefined,
  { nodeRevocation, clock, engine }: RunningService,
): NodeAccess {
  if (authentication.kind === "none") {
    return { verifier: undefined, clientCas: undefined, authenticator: allowAnonymous };
  }
  if (clientCas === undefined) {
    throw new Error(`AUTHENTICATION=${authentication.kind} needs CAs of client certificates`);
  }
  const verifier = new NodeCertificateVerifier({
    clientCas,
    denials: nodeRevocation,
    trustDomain,
    statesPodUid: authentication.kind === "kubernetes",
    clock,
    engine,
  });
  return { verifier, clientCas, authenticator: new ClientCertificateAuthenticator(verifier) };
}

export type AttestationParts = ReturnType<typeof openAttestation>;

/** Opens the parts that only the attestation of nodes uses. */
export function openAttestation(
  { driverServiceAccount, authentication }: ServiceConfig,
  cluster: Cluster | undefined,
  clock: Clock,
) {
  if (cluster === undefined) {
    throw new Error(`AUTHENTICATION=${authentication.kind} needs the Kubernetes API`);
  }
  const pods = cluster.driverPods(driverServiceAccount);
  return {
    nodeCas: new NodeCas(clock),
    keys: new KeySetCache({ source: cluster.tokenKeys, clock }),
    reviewer: cluster.tokenReviewer,
    pods,
    driverPods: new DriverPodCheck({ directory: pods, clock }),
  };
}

/** Composes the checks of an attestation. */
export function composeAttestor(
  { driverServiceAccount, trustDomain }: Pick<
    ServiceConfig,
    "driverServiceAccount" | "trustDomain"
  >,
  { clock, engine }: Pick<RunningService, "clock" | "engine">,
  { nodeCas, keys, reviewer, pods }: Omit<AttestationParts, "driverPods">,
  audit: Pick<AttestationAuditOptions, "onOutcome" | "write">,
  tokenEngine: Pick<SignatureEngine, "verify"> = openThreadedVerifier(),
): Attestor {
  const account = `${driverServiceAccount.namespace}/${driverServiceAccount.name}`;
  return new Attestor({
    verifier: new TokenVerifier({ keys, engine: tokenEngine }),
    reviewer,
    pods,
    issue: derivedNodeIssuer({ nodeCas, trustDomain, clock, engine }),
    account,
    audit: new AttestationAudit({ ...audit, clock, account }),
    engine,
    clock,
  });
}

/** Serves the endpoint where drivers show their token and receive a node certificate. */
export function serveAttestation(
  config: ServiceConfig,
  service: RunningService,
  parts: AttestationParts,
  /** Counts by outcome. */
  attestations: Counter,
): AttestationEndpoint {
  const { serving, clock } = service;
  const onOutcome = (outcome: string) => attestations.add(1, { outcome });
  const attestor = composeAttestor(config, service, parts, { onOutcome });
  return new AttestationEndpoint({
    address: config.attestationAddress,
    identity: serving,
    limits: new AttestationLimits(clock),
    attest: (request, signal) => attestor.attest(request, signal),
    clock,
  });
}
