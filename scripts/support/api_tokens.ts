/** Service account tokens, and what an API server says of them. */
export interface TokenOptions {
  /** "namespace/name"; the driver's unless given. */
  readonly account?: string;
  readonly audiences?: readonly string[];
  /** Null: bound to no pod. */
  readonly pod?: { readonly name: string; readonly uid: string } | null;
  /** Null: an API server before 1.30, which does not tell. */
  readonly node?: string | null;
  readonly expiresAt?: Temporal.Instant;
  /** The API server does not know it (any more). */
  readonly revoked?: boolean;
}

interface Known extends Required<Omit<TokenOptions, "expiresAt">> {
  readonly expiresAt: Temporal.Instant;
}

export interface ReviewRequest {
  readonly spec?: { readonly token?: string; readonly audiences?: readonly string[] };
}

export class ApiTokens {
  readonly #known = new Map<string, Known>();
  #serial = 0;

  /** A token as a ServiceAccount's token request makes it; of the driver's pod on node-1 unless told. */
  make(options: TokenOptions = {}): string {
    const known: Known = {
      account: "csi-cert-system/csi-cert-driver",
      audiences: ["csi-cert-service"],
      pod: { name: "csi-cert-driver-x7k2p", uid: "5a1d7c1e-0000-4000-8000-000000000001" },
      node: "node-1",
      expiresAt: Temporal.Now.instant().add({ hours: 1 }),
      revoked: false,
      ...options,
    };
    const [namespace, name] = known.account.split("/");
    const payload = {
      aud: known.audiences,
      exp: Math.floor(known.expiresAt.epochMilliseconds / 1000),
      iss: "https://kubernetes.default.svc.cluster.local",
      jti: `token-${++this.#serial}`,
      "kubernetes.io": {
        namespace,
        ...(known.node === null ? {} : { node: { name: known.node, uid: "node-uid" } }),
        ...(known.pod === null ? {} : { pod: known.pod }),
        serviceaccount: { name, uid: "account-uid" },
      },
      sub: `system:serviceaccount:${namespace}:${name}`,
    };
    const signature = new TextEncoder().encode(`signature ${this.#serial}`);
    const token = [{ alg: "RS256", kid: "test" }, payload].map((part) =>
      base64url(new TextEncoder().encode(JSON.stringify(part)))
    ).concat(base64url(signature)).join(".");
    this.#known.set(token, known);
    return token;
  }

  /** The status of a TokenReview, as kube-apiserver 1.36 gives it. */
  review({ spec }: ReviewRequest, now: Temporal.Instant): Record<string, unknown> {
    const known = this.#known.get(spec?.token ?? "");
    const audiences = spec?.audiences ?? [];
    const shared = known?.audiences.filter((audience) => audiences.includes(audience)) ?? [];
    if (!known || known.revoked || Temporal.Instant.compare(known.expiresAt, now) <= 0) {
      // The real one can quote pieces of what it was shown.
      return { user: {}, error: `[invalid bearer token, cannot parse ${spec?.token}]` };
    }
    if (shared.length === 0) return { user: {}, error: "token audiences do not match" };
    const [namespace, name] = known.account.split("/");
    const extra: Record<string, string[]> = { "credential-id": [`JTI=token`] };
    if (known.pod !== null) {
      extra["pod-name"] = [known.pod.name];
      extra["pod-uid"] = [known.pod.uid];
    }
    if (known.node !== null) extra["node-name"] = [known.node];
    return {
      authenticated: true,
      audiences: shared,
      user: {
        username: `system:serviceaccount:${namespace}:${name}`,
        uid: "account-uid",
        groups: ["system:serviceaccounts", `system:serviceaccounts:${namespace}`],
        extra: Object.fromEntries(
          Object.entries(extra).map((
            [key, value],
          ) => [`authentication.kubernetes.io/${key}`, value]),
        ),
      },
    };
  }
}

function base64url(bytes: Uint8Array): string {
  return bytes.toBase64({ alphabet: "base64url", omitPadding: true });
}
