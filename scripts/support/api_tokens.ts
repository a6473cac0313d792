import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { tokenAudience } from "../../src/shared/text/product_names.ts";

/** Service account tokens, and an API server's reviews of them. */
export interface TokenOptions {
  /** "namespace/name"; the driver's unless given. */
  readonly account?: string;
  readonly audiences?: readonly string[];
  /** Null: bound to no pod. */
  readonly pod?: { readonly name: string; readonly uid: string } | null;
  /** Null: an API server before 1.30, which does not report it. */
  readonly node?: string | null;
  readonly expiresAt?: Temporal.Instant;
  /** The API server does not know it (any more). */
  readonly revoked?: boolean;
  /** The id of the key that signs it; the newest key's unless given. */
  readonly keyId?: string;
}

type KeyKind = keyof typeof keyKinds;

const keyKinds = {
  RS256: { hash: "sha256", curve: undefined },
  ES256: { hash: "sha256", curve: "prime256v1" },
  ES384: { hash: "sha384", curve: "secp384r1" },
  ES512: { hash: "sha512", curve: "secp521r1" },
} as const;

interface SigningKey {
  readonly kind: KeyKind;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

interface Known extends Required<Omit<TokenOptions, "expiresAt" | "keyId">> {
  readonly expiresAt: Temporal.Instant;
}

export interface ReviewRequest {
  readonly spec?: { readonly token?: string; readonly audiences?: readonly string[] };
}

export class ApiTokens {
  readonly #known = new Map<string, Known>();
  readonly #keys = new Map<string, SigningKey>();
  /** The ids of keys that sign but are not published. */
  readonly hidden = new Set<string>();
  #serial = 0;

  /** From now on tokens are signed with a new key. */
  addKey(keyId: string, kind: KeyKind = "ES256"): void {
    const { curve } = keyKinds[kind];
    const pair = curve === undefined
      ? generateKeyPairSync("rsa", { modulusLength: 2048 })
      : generateKeyPairSync("ec", { namedCurve: curve });
    this.#keys.set(keyId, { kind, ...pair });
  }

  /** What /openid/v1/jwks answers. */
  keySet(): { keys: Record<string, unknown>[] } {
    const shown = [...this.#keys].filter(([kid]) => !this.hidden.has(kid));
    return {
      keys: shown.map(([kid, { kind, publicKey }]) => ({
        use: "sig",
        ...publicKey.export({ format: "jwk" }),
        kid,
        alg: kind,
      })),
    };
  }

  /** The public key of an id, as an attacker has it too. */
  publicKey(keyId: string): KeyObject | undefined {
    return this.#keys.get(keyId)?.publicKey;
  }

  /** A token as a ServiceAccount's token request makes it; of the driver's pod on node-1 unless given. */
  make(options: TokenOptions = {}): string {
    const known: Known = {
      account: "csi-cert-system/csi-cert-driver",
      audiences: [tokenAudience],
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
    const token = this.#signed(payload, options.keyId);
    this.#known.set(token, known);
    return token;
  }

  #signed(payload: unknown, keyId?: string): string {
    if (this.#keys.size === 0) this.addKey("test");
    const kid = keyId ?? [...this.#keys.keys()].at(-1) ?? "";
    const key = this.#keys.get(kid);
    if (key === undefined) throw new Error(`there is no key ${kid}`);
    const { hash, curve } = keyKinds[key.kind];
    const signed = [{ alg: key.kind, kid }, payload]
      .map((part) => base64url(encoder.encode(JSON.stringify(part)))).join(".");
    const how = { key: key.privateKey, dsaEncoding: "ieee-p1363" as const };
    const signature = sign(
      hash,
      encoder.encode(signed),
      curve === undefined ? key.privateKey : how,
    );
    return `${signed}.${base64url(new Uint8Array(signature))}`;
  }

  /** The status of a TokenReview, as kube-apiserver 1.36 gives it. */
  review({ spec }: ReviewRequest, now: Temporal.Instant): Record<string, unknown> {
    const known = this.#known.get(spec?.token ?? "");
    const audiences = spec?.audiences ?? [];
    const shared = known?.audiences.filter((audience) => audiences.includes(audience)) ?? [];
    if (!known || known.revoked || Temporal.Instant.compare(known.expiresAt, now) <= 0) {
      // The real one can quote pieces of the token.
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

const encoder = new TextEncoder();

function base64url(bytes: Uint8Array): string {
  return bytes.toBase64({ alphabet: "base64url", omitPadding: true });
}
