import assert from "node:assert/strict";
import { decidePolicy, type PolicyDecision } from "../../../src/service/policy/decision.ts";
import type { PolicyRule } from "../../../src/service/policy/policy.ts";
import { computeRequestedNames } from "../../../src/service/policy/requested_names.ts";
import { parseAttributes } from "../../../src/shared/attributes/attribute_parser.ts";
import type { PodFields } from "../../../src/shared/attributes/templates.ts";
import type { KeyAlgorithm } from "../../../src/shared/crypto/key_algorithm.ts";
import { policy } from "../../support/service_fixture.ts";

export const web: PodFields = {
  namespace: "shop",
  name: "web-0",
  uid: "0f8fad5b-d9cb-469f-a165-70867728950e",
  serviceAccountName: "web",
};

/** What a request differs in from one of pod shop/web-0 under the default policy. */
export interface Changes {
  readonly pod?: Partial<PodFields>;
  readonly rules?: readonly PolicyRule[];
  readonly keyAlgorithm?: KeyAlgorithm;
  readonly clusterDomain?: string;
  readonly servingName?: string;
  readonly trustDomain?: string;
  readonly isRenewal?: boolean;
}

/** How a request for a volume with these attributes ends. */
export function decide(
  attributes: Record<string, string>,
  changes: Changes = {},
): PolicyDecision | { readonly kind: "invalid" } {
  const pod = { ...web, ...changes.pod };
  const parsed = parseAttributes(attributes);
  if (parsed.problems.length > 0) return { kind: "invalid" };
  const { keyAlgorithm = "ecdsa-p256", isRenewal = false } = changes;
  const { clusterDomain = "cluster.local", trustDomain = clusterDomain } = changes;
  const requested = computeRequestedNames(pod, parsed.understood, clusterDomain);
  if (requested.kind === "invalid") return requested;
  const { names } = requested;
  const { duration: validity } = parsed.understood;
  const request = { pod, names, validity, isRenewal, keyAlgorithm };
  const base = policy(changes.rules);
  const { servingName = base.servingName } = changes;
  return decidePolicy({ ...base, clusterDomain, servingName, trustDomain }, request);
}

/** What is granted; fails for another decision. */
export function granted(attributes: Record<string, string>, changes?: Changes) {
  const decision = decide(attributes, changes);
  assert(decision.kind === "granted", JSON.stringify(decision));
  return decision;
}

/** Why a request is denied; fails for another decision. */
export function reasonOf(attributes: Record<string, string>, changes?: Changes): string {
  const decision = decide(attributes, changes);
  assert(decision.kind === "denied", JSON.stringify(decision));
  return decision.reason;
}
