import assert from "node:assert/strict";
import { podObject } from "../../../scripts/support/api_pod.ts";
import type { AuditEntry } from "../../../src/service/access/audit_log.ts";
import type { Attestor } from "../../../src/service/attestation/attestor.ts";
import { KeySetCache } from "../../../src/service/attestation/key_set_cache.ts";
import { NodeCas } from "../../../src/service/ca/node_cas.ts";
import { apiServerDriverPods } from "../../../src/service/kubernetes/driver_pods.ts";
import { listDriverPods, shippedPermissions } from "../../../src/service/kubernetes/permissions.ts";
import { apiServerKeySet } from "../../../src/service/kubernetes/token_keys.ts";
import { apiServerTokenReviewer } from "../../../src/service/kubernetes/token_review.ts";
import { composeAttestor } from "../../../src/service/program/node_access.ts";
import { openThreadedVerifier } from "../../../src/service/openssl/threaded_verifier.ts";
import { generateKeyPair } from "../../../src/shared/crypto/key_pairs.ts";
import { encodePem } from "../../../src/shared/crypto/pem.ts";
import type { SignatureToVerify } from "../../../src/shared/crypto/signature_engine.ts";
import { webCryptoEngine } from "../../../src/shared/crypto/web_crypto_engine.ts";
import { createCertificateRequest } from "../../../src/shared/x509/certificate_request.ts";
import { newNodeCa, trustDomain } from "../access/node_certificates.ts";
import { driver, openApi } from "../kubernetes/kubernetes_fixture.ts";

export const account = `${driver.namespace}/${driver.name}`;
/** What tokens of `ApiTokens` are bound to unless a test states another pod. */
export const driverPod = {
  name: "csi-cert-driver-x7k2p",
  uid: "5a1d7c1e-0000-4000-8000-000000000001",
};

/** An attestor with a real API server for tests, on a clock that stands still. */
export async function openAttestor() {
  const api = await openApi();
  const { server, clock, connection } = api;
  server.rules = [...shippedPermissions, listDriverPods(driver.namespace)];
  const nodeCas = new NodeCas(clock);
  const nodeCa = await newNodeCa();
  nodeCas.replace({ issuing: nodeCa, accepted: [nodeCa], othersAreCompromised: false });
  const entries: AuditEntry[] = [];
  const outcomes: string[] = [];
  let verifications = 0;
  const threaded = openThreadedVerifier();
  const keys = new KeySetCache({ source: apiServerKeySet(connection), clock });
  const countingVerifier = {
    verify: (signed: SignatureToVerify) => {
      verifications++;
      return threaded.verify(signed);
    },
  };
  const reviewer = apiServerTokenReviewer(connection);
  const pods = apiServerDriverPods(connection, driver);
  const attestor = composeAttestor(
    { driverServiceAccount: driver, trustDomain },
    { clock, engine: webCryptoEngine },
    { nodeCas, keys, reviewer, pods },
    {
      write: (entry) => entries.push(entry),
      onOutcome: (outcome) => outcomes.push(outcome),
    },
    countingVerifier,
  );
  const certificateRequest = await createCertificateRequest(await generateKeyPair("ecdsa-p256"));
  const putPod = (given: { uid?: string; node?: string | undefined; phase?: string } = {}) => {
    const { uid = driverPod.uid, phase = "Running" } = given;
    const nodeName = "node" in given ? given.node : "node-1";
    server.objects.put(
      "pods",
      podObject({
        metadata: { namespace: driver.namespace, name: driverPod.name, uid },
        spec: { nodeName, serviceAccountName: driver.name },
        status: { phase },
      }),
    );
  };
  putPod();
  const { signal } = new AbortController();
  return {
    server,
    clock,
    attestor,
    nodeCas,
    nodeCa,
    keys,
    entries,
    outcomes,
    putPod,
    certificateRequest,
    verifications: () => verifications,
    attest: (token: string, request = certificateRequest, until = signal) =>
      attestor.attest({ token, certificateRequest: request }, until),
    /** The body that a driver sends. */
    bodyOf: (token: string) =>
      JSON.stringify({
        token,
        certificateSigningRequest: encodePem("CERTIFICATE REQUEST", certificateRequest),
      }),
    [Symbol.asyncDispose]: () => api[Symbol.asyncDispose](),
  };
}

/** A token's parts, of which a test replaces some. */
export function alterToken(
  token: string,
  altered: { header?: object; payload?: object; signature?: string },
): string {
  const [header = "", payload = "", signature = ""] = token.split(".");
  const encode = (part: string, changes: object | undefined) => {
    if (changes === undefined) return part;
    const bytes = Uint8Array.fromBase64(part, { alphabet: "base64url" });
    const merged = { ...JSON.parse(new TextDecoder().decode(bytes)), ...changes };
    return base64url(new TextEncoder().encode(JSON.stringify(merged)));
  };
  const parts = [encode(header, altered.header), encode(payload, altered.payload)];
  return [...parts, altered.signature ?? signature].join(".");
}

export function base64url(bytes: Uint8Array): string {
  return bytes.toBase64({ alphabet: "base64url", omitPadding: true });
}

type Outcome = Awaited<ReturnType<Attestor["attest"]>>;

/** The reason of an outcome that is not a certificate, after its kind. */
export function reasonOf(outcome: Outcome, kind: Outcome["kind"]): string {
  assert.equal(outcome.kind, kind, JSON.stringify(outcome));
  return "reason" in outcome ? outcome.reason : "";
}
