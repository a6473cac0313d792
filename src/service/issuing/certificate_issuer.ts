/**
 * This folder turns one request into one certificate: it authorizes the request, queues it, decides
 * by the policy, signs, and records the result. It also issues the nodes' certificates and the one
 * that the service itself presents. Its main types are `CertificateIssuer`, `LeafSigner`,
 * `CurrentPolicy` and `ServingCertificate`. It never imports gRPC or the Kubernetes client.
 */

import { describeProblems, parseAttributes } from "../../shared/attributes/attribute_parser.ts";
import { parseCertificateRequest } from "../../shared/x509/certificate_request.ts";
import type { SignatureEngine } from "../../shared/crypto/signature_engine.ts";
import type { PodFields } from "../../shared/attributes/templates.ts";
import type { DriverPodCheck } from "../access/driver_pod_check.ts";
import {
  authorizePod,
  type PodDirectory,
  type VolumeRequest,
} from "../access/pod_authorization.ts";
import type { Inventory } from "../inventory/inventory.ts";
import type { LeafSigner, SignedLeaf } from "./leaf_signer.ts";
import { optionalDnsNames, outsideDenial } from "./outside_names.ts";
import { checkPredecessor, type PredecessorState } from "./predecessor.ts";
import { computeRequestedNames } from "../policy/requested_names.ts";
import { decidePolicy } from "../policy/decision.ts";
import type { Policy } from "../policy/policy.ts";
import { type DriverCaller, queueKey } from "../access/authenticator.ts";
import type { Revocation } from "../revocation/revocation.ts";
import type { Clock } from "../../shared/scheduler/clock.ts";
import type { FairQueue } from "../../shared/scheduler/fair_queue.ts";

/** Requests a certificate for a pod's volume; a renewal also names its predecessor. */
export interface IssueRequest extends VolumeRequest {
  /** PKCS#10, DER. */
  readonly certificateRequest: Uint8Array;
  readonly volumeId: string;
}

export interface IssuedCertificate extends Omit<SignedLeaf, "kind"> {
  readonly kind: "issued";
  /** Whether this replica knows the predecessor as the pod's; undefined for a first certificate. */
  readonly predecessorVerified: boolean | undefined;
}

export type IssueOutcome =
  | IssuedCertificate
  | { readonly kind: "denied"; readonly reason: string }
  /** The driver's own pod is gone; the request itself may be granted to another driver. */
  | { readonly kind: "unauthenticated"; readonly reason: string }
  | { readonly kind: "invalid"; readonly reason: string }
  | { readonly kind: "unavailable"; readonly reason: string }
  | {
    readonly kind: "overloaded";
    readonly reason: string;
    readonly retryAfter: Temporal.Duration;
  };

export interface CertificateIssuerOptions {
  readonly clock: Clock;
  readonly signer: LeafSigner;
  /** For the pod's look-up, which waits for the cluster's API, and the caller's authorization. */
  readonly lookups: FairQueue;
  /** For the verification of the request and the signature, which use the processor. */
  readonly signatures: FairQueue;
  readonly inventory: Inventory;
  readonly revocation: Revocation;
  /** Called for each certificate, so that a changed policy applies from the next renewal on. */
  readonly policy: () => Policy;
  /** Absent: what callers state of their pods is not verified. */
  readonly pods?: PodDirectory | undefined;
  /** Confirms that the driver's pod still runs on the caller's node; absent, that is not checked. */
  readonly driverPods?: Pick<DriverPodCheck, "confirm"> | undefined;
  /** Verifies requests; the runtime's own unless given. */
  readonly engine?: SignatureEngine | undefined;
}

/** Issues certificates: authorizes the caller, decides the names by the policy, and signs. */
export class CertificateIssuer {
  readonly #options: CertificateIssuerOptions;

  constructor(options: CertificateIssuerOptions) {
    this.#options = options;
  }

  /** Rejects only when the service has a fault, and when the signal is aborted. */
  async issue(
    caller: DriverCaller,
    request: IssueRequest,
    signal: AbortSignal,
  ): Promise<IssueOutcome> {
    const { lookups, signatures, revocation, inventory } = this.#options;
    if (!revocation.isLoaded) {
      const reason = "the revoked pods have not been read yet";
      return { kind: "unavailable", reason };
    }
    const key = queueKey(caller, request.pod);
    const authorize = () => this.#authorize(caller, request, signal);
    const authorized = await lookups.run(key, authorize, signal);
    if (authorized.kind === "overloaded") return overloaded(authorized.retryAfter);
    const authorization = authorized.value;
    if (authorization.kind !== "authorized") return authorization;
    // Before a place in the queue of signatures is used: a revoked pod must not occupy one.
    if (revocation.isDenied(request.pod)) return revoked(request.pod.uid);
    const predecessor = checkPredecessor(inventory, request.pod.uid, request.predecessor);
    if (predecessor === "foreign") return foreignPredecessor(request);
    const sign = () => this.#sign(caller, request, authorization, predecessor);
    const issued = await signatures.run(key, sign, signal);
    return issued.kind === "done" ? issued.value : overloaded(issued.retryAfter);
  }

  /** A driver whose own pod is gone can issue no more, although its node certificate is still valid. */
  async #authorize(caller: DriverCaller, request: IssueRequest, signal: AbortSignal) {
    const { pods, driverPods, clock } = this.#options;
    if (driverPods !== undefined && caller.kind === "node" && caller.podUid !== undefined) {
      const driver = await driverPods.confirm(caller.node, caller.podUid, signal);
      if (driver.kind !== "confirmed") return driver;
    }
    return await authorizePod(caller, request, pods, clock, signal);
  }

  async #sign(
    caller: DriverCaller,
    request: IssueRequest,
    { pod, attributes }: { pod: PodFields; attributes: VolumeRequest["attributes"] },
    predecessor: PredecessorState,
  ): Promise<IssueOutcome> {
    const { policy: currentPolicy, revocation, signer, engine } = this.#options;
    const parsed = await parseCertificateRequest(request.certificateRequest, engine);
    if (parsed.kind === "refused") return invalid(`certificate_request: ${parsed.problem}`);
    const parsedAttributes = parseAttributes(attributes);
    const requested = parsedAttributes.understood;
    const isRenewal = request.predecessor !== undefined;
    // A volume that is in use is renewed by what this version and the driver's understand of its attributes.
    if (!isRenewal) {
      const problems = describeProblems(parsedAttributes, attributeField);
      if (problems !== undefined) return invalid(problems);
      if (requested.keyAlgorithm !== parsed.algorithm) {
        return invalid(
          `certificate_request: holds a key of type ${parsed.algorithm}, and the volume's ` +
            `key-algorithm and key-size ask for ${requested.keyAlgorithm}`,
        );
      }
    }
    const policy = currentPolicy();
    const names = computeRequestedNames(pod, requested, policy.clusterDomain);
    if (names.kind === "invalid") return names;
    const decision = decidePolicy(policy, {
      pod,
      names: names.names,
      validity: requested.duration,
      isRenewal,
      keyAlgorithm: parsed.algorithm,
    });
    if (decision.kind === "denied") return decision;
    const signed = await signer.sign({
      publicKey: parsed,
      names: decision.names,
      validity: decision.validity,
      extendedKeyUsage: ["serverAuth", "clientAuth"],
      optionalDnsNames: optionalDnsNames(names.names),
    });
    if (signed.kind === "unavailable") return signed;
    if (signed.kind === "outside") {
      return { kind: "denied", reason: outsideDenial(signed.names, names.names) };
    }
    // The pod can have been denied while the request waited and the certificate was being signed.
    if (revocation.isDenied(request.pod)) return revoked(pod.uid);
    const issued: IssuedCertificate = {
      ...signed,
      kind: "issued",
      predecessorVerified: predecessor === "absent" ? undefined : predecessor === "verified",
    };
    this.#record(caller, request, issued);
    return issued;
  }

  #record(caller: DriverCaller, request: IssueRequest, issued: IssuedCertificate): void {
    const { serialNumber, names, notBefore, notAfter } = issued;
    const { pod, volumeId, predecessor } = request;
    const node = caller.kind === "node" ? caller.node : undefined;
    const { inventory } = this.#options;
    inventory.add({
      origin: "issued",
      serialNumber,
      pod,
      volumeId,
      node,
      names,
      notBefore,
      notAfter,
      predecessor,
    });
  }
}

function overloaded(retryAfter: Temporal.Duration): IssueOutcome {
  return { kind: "overloaded", reason: "too many requests are waiting", retryAfter };
}

function invalid(reason: string): IssueOutcome {
  return { kind: "invalid", reason };
}

function revoked(podUid: string): IssueOutcome {
  const reason = `the certificates of pod ${podUid} were revoked; only a new pod gets new ones`;
  return { kind: "denied", reason };
}

function foreignPredecessor({ pod, predecessor }: IssueRequest): IssueOutcome {
  const reason =
    `predecessor_serial_number: certificate ${predecessor} was issued to another pod ` +
    `than ${pod.namespace}/${pod.name} with uid ${pod.uid}`;
  return { kind: "denied", reason };
}

function attributeField(attribute: string): string {
  return `volume.attributes["${attribute}"]`;
}
