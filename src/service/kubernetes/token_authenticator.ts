import type {
  AuthenticationResult,
  Authenticator,
  Credentials,
  DriverCaller,
} from "../access/authenticator.ts";
import type { Clock } from "../../shared/scheduler/clock.ts";
import type { ApiClient } from "./api_client.ts";
import { toUnavailable, unavailable } from "./api_result.ts";
import { BoundedSemaphore } from "../../shared/scheduler/semaphore.ts";
import { createTokenReviews, getPods, type ObjectName } from "./permissions.ts";
import { parseTokenReview, type TokenReviewResult } from "./token_review.ts";
import { parseTokenClaims } from "../access/token_claims.ts";
import { tokenAudience } from "../../shared/text/product_names.ts";

export interface TokenAuthenticatorOptions {
  readonly connection: ApiClient;
  readonly clock: Clock;
  /** Whose tokens speak for nodes (DRIVER_SERVICE_ACCOUNT). */
  readonly driver: ObjectName;
}

interface Remembered {
  readonly caller: DriverCaller;
  readonly until: Temporal.Instant;
}

/** A pod that is gone speaks for its node for this much longer at most. */
const rememberedFor = { minutes: 1 };
/** More than there are nodes. */
const mostRemembered = 10_000;

/**
 * Knows callers by their service account's token. The driver's, bound to its pod, speaks for the
 * node of that pod; any other account's is denied. It has to be made for this service: a token that
 * the API server accepts itself is worth too much to be sent here.
 */
export class TokenAuthenticator implements Authenticator {
  readonly #connection: ApiClient;
  readonly #clock: Clock;
  readonly #driver: ObjectName;
  readonly #gate = new BoundedSemaphore({ concurrency: 16, capacity: 1_024 });
  /** By the token's SHA-256, the first to be remembered first. */
  readonly #cache = new Map<string, Remembered>();
  /** Who shows the same token at the same time waits for one review. */
  readonly #pendingReviews = new Map<string, Promise<AuthenticationResult>>();

  constructor({ connection, clock, driver }: TokenAuthenticatorOptions) {
    this.#connection = connection;
    this.#clock = clock;
    this.#driver = driver;
  }

  async authenticate(
    { authorization }: Credentials,
    signal: AbortSignal,
  ): Promise<AuthenticationResult> {
    const read = parseTokenClaims(authorization, this.#clock.now());
    if (read.kind === "refused") return { kind: "unauthenticated", problem: read.problem };
    const { token, claims } = read;
    const { namespace, name } = this.#driver;
    if (claims.account === `${namespace}/${name}` && !claims.boundToPod) {
      return notBoundToPod(claims);
    }
    const key = await digest(token);
    const remembered = this.#cache.get(key);
    if (remembered && Temporal.Instant.compare(this.#clock.now(), remembered.until) < 0) {
      return { kind: "caller", caller: remembered.caller };
    }
    let review = this.#pendingReviews.get(key);
    if (review === undefined) {
      review = this.#review(key, token, claims.expiresAt)
        .finally(() => this.#pendingReviews.delete(key));
      this.#pendingReviews.set(key, review);
    }
    return await abortable(review, signal);
  }

  /** Not under any one caller's signal, as others may wait for it; each call has its time limit. */
  async #review(
    key: string,
    token: string,
    expiresAt: Temporal.Instant,
  ): Promise<AuthenticationResult> {
    const { signal } = new AbortController();
    const queued = await this.#gate.run(() => this.#ask(token, signal), signal);
    if (queued === undefined) return unavailable("too many tokens wait for their review");
    const { value } = queued;
    if (value.kind === "caller") this.#remember(key, value.caller, expiresAt);
    return value;
  }

  async #ask(token: string, signal: AbortSignal): Promise<AuthenticationResult> {
    const body = { spec: { token, audiences: [tokenAudience] } };
    const answer = await this.#connection.call(
      createTokenReviews,
      signal,
      ({ authentication }) => authentication.createTokenReview({ body }),
    );
    if (answer.kind !== "answer") return toUnavailable(answer);
    const reviewed = parseTokenReview(answer.value.status);
    if (reviewed.kind === "refused") return { kind: "unauthenticated", problem: reviewed.problem };
    const { namespace, name } = this.#driver;
    if (reviewed.username !== `system:serviceaccount:${namespace}:${name}`) {
      return denied(
        `${reviewed.username} is not the drivers' service account ${namespace}/${name}: ` +
          "only drivers call this port",
      );
    }
    return await this.#nodeOf(reviewed, signal);
  }

  async #nodeOf(
    { pod, node, tokenId }: TokenReviewResult & { kind: "verified" },
    signal: AbortSignal,
  ): Promise<AuthenticationResult> {
    const { namespace, name: account } = this.#driver;
    if (pod === undefined) return notBoundToPod({ account: `${namespace}/${account}` });
    const caller = (node: string): AuthenticationResult => {
      const serviceAccount = `${namespace}/${account}`;
      return {
        kind: "caller",
        caller: { kind: "node", node, serviceAccount, podUid: pod.uid, tokenId },
      };
    };
    if (node !== undefined) return caller(node);
    // Before Kubernetes 1.30 a token does not tell its node, but the pod that it is bound to does.
    const answer = await this.#connection.call(
      getPods,
      signal,
      ({ core }) => core.readNamespacedPod({ namespace, name: pod.name }),
    );
    if (answer.kind === "absent") return denied(`the driver's pod ${pod.name} is not there`);
    if (answer.kind !== "answer") return toUnavailable(answer);
    const { metadata, spec } = answer.value;
    if (metadata?.uid !== pod.uid) {
      return denied(`the driver's pod ${pod.name} is not the one that the token was made for`);
    }
    if (spec?.serviceAccountName !== account || !spec.nodeName) {
      return denied(`the pod ${pod.name} does not run as service account ${account} on a node`);
    }
    return caller(spec.nodeName);
  }

  #remember(key: string, caller: DriverCaller, expiresAt: Temporal.Instant): void {
    const minute = this.#clock.now().add(rememberedFor);
    const until = Temporal.Instant.compare(minute, expiresAt) < 0 ? minute : expiresAt;
    this.#cache.delete(key);
    this.#cache.set(key, { caller, until });
    if (this.#cache.size <= mostRemembered) return;
    const [first] = this.#cache.keys();
    if (first !== undefined) this.#cache.delete(first);
  }
}

function denied(problem: string): AuthenticationResult {
  return { kind: "denied", problem };
}

function notBoundToPod({ account }: { account: string }): AuthenticationResult {
  return denied(
    `the token of service account ${account} is bound to no pod: expected the one that Kubernetes ` +
      "projects into the driver's pod",
  );
}

async function digest(token: string): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(token));
  return new Uint8Array(hash).toHex();
}

/** The promise's outcome, or a rejection once the signal is aborted. */
function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const leave = () => reject(signal.reason);
  if (signal.aborted) leave();
  signal.addEventListener("abort", leave);
  return Promise.race([promise, aborted])
    .finally(() => signal.removeEventListener("abort", leave));
}
