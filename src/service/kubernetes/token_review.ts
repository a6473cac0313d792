import type { V1TokenReviewStatus } from "@kubernetes/client-node";
import { tokenAudience } from "../../shared/text/product_names.ts";
import type { TokenReviewer } from "../attestation/attestor.ts";
import type { ApiClient } from "./api_client.ts";
import { toUnavailable } from "./api_result.ts";
import { createTokenReviews } from "./permissions.ts";
import { isObjectName } from "../../shared/text/kubernetes_names.ts";
import { isDnsLabel } from "../../shared/text/name_syntax.ts";

/** What the API server states of a token. */
export type TokenReviewResult =
  | {
    readonly kind: "verified";
    /** "system:serviceaccount:NAMESPACE:NAME". */
    readonly username: string;
    readonly pod: { readonly name: string; readonly uid: string } | undefined;
    /** From Kubernetes 1.30 on. */
    readonly node: string | undefined;
    /** "JTI=...": names the token and is none. */
    readonly tokenId: string | undefined;
  }
  | { readonly kind: "refused"; readonly problem: string };

const extra = "authentication.kubernetes.io/";

/** Reads a review's status; its reason for refusing a token is not passed on, as it may quote the token. */
export function parseTokenReview(status: V1TokenReviewStatus | undefined): TokenReviewResult {
  if (status?.authenticated !== true) {
    return {
      kind: "refused",
      problem: "the API server does not accept the token: it has expired, was made for another " +
        "cluster, or its pod or service account is gone",
    };
  }
  // An API server that knows no audiences answers with none, and has then not looked at ours.
  if (!status.audiences?.includes(tokenAudience)) {
    return {
      kind: "refused",
      problem: `the API server does not confirm the token's audience ${tokenAudience}`,
    };
  }
  const username = status.user?.username;
  if (!username) return { kind: "refused", problem: "the API server names no user for the token" };
  const extraValue = (name: string) => status.user?.extra?.[extra + name]?.[0] || undefined;
  const [name, uid] = [extraValue("pod-name"), extraValue("pod-uid")];
  const pod = name === undefined || uid === undefined ? undefined : { name, uid };
  const [node, tokenId] = [extraValue("node-name"), extraValue("credential-id")];
  return { kind: "verified", username, pod, node, tokenId };
}

const serviceAccount = /^system:serviceaccount:([^:]*):([^:]*)$/;

/** The API server's reviews: only it knows whether a token's pod and account still exist. */
export class ApiServerTokenReviewer implements TokenReviewer {
  readonly #connection: ApiClient;

  constructor(connection: ApiClient) {
    this.#connection = connection;
  }

  async review(token: string, signal: AbortSignal): ReturnType<TokenReviewer["review"]> {
    const body = { spec: { token, audiences: [tokenAudience] } };
    const answer = await this.#connection.call(
      createTokenReviews,
      signal,
      ({ authentication }) => authentication.createTokenReview({ body }),
    );
    if (answer.kind !== "answer") return toUnavailable(answer);
    const reviewed = parseTokenReview(answer.value.status);
    if (reviewed.kind === "refused") return { kind: "refused", reason: reviewed.problem };
    const { username, ...verified } = reviewed;
    const [, namespace = "", name = ""] = serviceAccount.exec(username) ?? [];
    const isAccount = isDnsLabel(namespace) && isObjectName(name);
    return { ...verified, account: isAccount ? `${namespace}/${name}` : undefined };
  }
}
