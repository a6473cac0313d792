import type { SignatureEngine } from "../../shared/crypto/signature_engine.ts";
import { webCryptoEngine } from "../../shared/crypto/web_crypto_engine.ts";
import type { Clock } from "../../shared/scheduler/clock.ts";
import { DriverPodCheck } from "../access/driver_pod_check.ts";
import type { NodeDenials } from "../access/node_denials.ts";
import { NodeCertificateVerifier } from "../access/node_certificate_verifier.ts";
import { AttestationAudit } from "../attestation/attestation_audit.ts";
import { AttestationEndpoint } from "../attestation/attestation_endpoint.ts";
import { AttestationLimits } from "../attestation/attestation_limits.ts";
import type { AttestationOutcome } from "../attestation/attestation_outcome.ts";
import { Attestor } from "../attestation/attestor.ts";
import { KeySetCache } from "../attestation/key_set_cache.ts";
import { TokenVerifier } from "../attestation/token_verifier.ts";
import type { NodeCas } from "../ca/node_cas.ts";
import { DerivedNodeIssuer } from "../issuing/derived_node_issuer.ts";
import type { ServingCertificate } from "../issuing/serving_certificate.ts";
import type { Cluster } from "../kubernetes/cluster.ts";
import { openThreadedVerifier } from "../openssl/threaded_verifier.ts";

export interface NodeAttestationOptions {
  readonly address: { readonly hostname: string; readonly port: number };
  readonly cluster: Cluster;
  /** DRIVER_SERVICE_ACCOUNT. */
  readonly driver: { readonly namespace: string; readonly name: string };
  readonly trustDomain: string;
  readonly nodeCas: NodeCas;
  readonly serving: ServingCertificate;
  readonly denials?: NodeDenials | undefined;
  readonly clock: Clock;
  readonly engine?: SignatureEngine | undefined;
  /** Counts attestations by outcome. */
  readonly onOutcome?: ((outcome: AttestationOutcome["kind"]) => void) | undefined;
}

/** The parts of AUTHENTICATION=kubernetes: what issues node certificates, and what verifies them. */
export function openNodeAttestation(options: NodeAttestationOptions) {
  const { cluster, driver, trustDomain, nodeCas, denials, clock, onOutcome } = options;
  const engine = options.engine ?? webCryptoEngine;
  const account = `${driver.namespace}/${driver.name}`;
  const { keys: source, reviewer, pods } = cluster.attestation(driver);
  const keys = new KeySetCache({ source, clock });
  const issuer = new DerivedNodeIssuer({ nodeCas, trustDomain, clock, engine });
  const attestor = new Attestor({
    ...{ reviewer, pods, issuer, account, engine, clock },
    verifier: new TokenVerifier({ keys, engine: openThreadedVerifier() }),
    audit: new AttestationAudit({ clock, account, onOutcome }),
  });
  const verifying = { clientCas: issuer, denials, trustDomain, statesPodUid: true, clock, engine };
  const endpoint = new AttestationEndpoint({
    ...options.address,
    ...{ identity: options.serving, attestor, clock },
    limits: new AttestationLimits(clock),
  });
  return {
    endpoint,
    /** Why tokens are reviewed one a second, for /readyz. */
    keys,
    /** The CAs for the TLS server and the gate. */
    issuer,
    verifier: new NodeCertificateVerifier(verifying),
    driverPods: new DriverPodCheck({ directory: pods, clock }),
  };
}
