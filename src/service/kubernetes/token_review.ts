import type { V1TokenReviewStatus } from "@kubernetes/client-node";
import { tokenAudience } from "../../shared/text/product_names.ts";
import type { TokenReviewer } from "../attestation/attestor.ts";
import type { ApiClient } from "./api_client.ts";
import { toUnavailable } from "./api_result.ts";
import { createTokenReviews } from "./permissions.ts";

const extraPrefix = "authentication.kubernetes.io/";
/** The user name of a service account. */
const accountName = /^system:serviceaccount:([a-z0-9-]{1,63}):([a-z0-9.-]{1,253})$/;

/** Reviews tokens at the API server: only it knows whether a token's pod and account still exist. */
export function apiServerTokenReviewer(client: ApiClient): TokenReviewer {
  return {
    review: async (token, signal) => {
      const body = { spec: { token, audiences: [tokenAudience] } };
      const answer = await client.call(
        createTokenReviews,
        signal,
        ({ authentication }) => authentication.createTokenReview({ body }),
      );
      return answer.kind === "answer" ? readReview(answer.value.status) : toUnavailable(answer);
    },
  };
}

/** The API server's own reason is left out, because it may quote the token. */
function readReview(
  status: V1TokenReviewStatus | undefined,
): Awaited<ReturnType<TokenReviewer["review"]>> {
  if (status?.authenticated !== true) {
    return refused(
      "the API server does not accept the token: it has expired, was made for another cluster, or " +
        "its pod or service account is gone",
    );
  }
  // An API server that does not know audiences returns none, and has not checked ours.
  if (!status.audiences?.includes(tokenAudience)) {
    return refused(`the API server does not confirm the token's audience ${tokenAudience}`);
  }
  const username = status.user?.username;
  if (!username) return refused("the API server names no user for the token");
  const extra = (name: string) => status.user?.extra?.[extraPrefix + name]?.[0] || undefined;
  const [, namespace, account] = accountName.exec(username) ?? [];
  const [name, uid] = [extra("pod-name"), extra("pod-uid")];
  return {
    kind: "verified",
    account: namespace === undefined ? undefined : `${namespace}/${account}`,
    pod: name === undefined || uid === undefined ? undefined : { name, uid },
    node: extra("node-name"),
    tokenId: extra("credential-id"),
  };
}

function refused(reason: string) {
  return { kind: "refused" as const, reason };
}
