/** Service account tokens that no API server has signed. */
import { tokenAudience } from "../../../src/shared/text/product_names.ts";

/** The right audience, expiry and subject, with a signature of random bytes. */
export function madeUpToken(n: number, header: Record<string, unknown> = {}): string {
  const payload = {
    aud: [tokenAudience],
    exp: Math.floor(Date.now() / 1000) + 3_600,
    iss: "https://kubernetes.default.svc.cluster.local",
    jti: `made-up-${n}`,
    "kubernetes.io": {
      namespace: "csi-cert-system",
      node: { name: "node-9", uid: "node-uid" },
      pod: { name: "csi-cert-driver-9", uid: crypto.randomUUID() },
      serviceaccount: { name: "csi-cert-driver", uid: "account-uid" },
    },
    sub: "system:serviceaccount:csi-cert-system:csi-cert-driver",
  };
  const signature = crypto.getRandomValues(new Uint8Array(256));
  return [{ alg: "RS256", kid: "test", ...header }, payload]
    .map((part) => base64url(new TextEncoder().encode(JSON.stringify(part))))
    .concat(base64url(signature)).join(".");
}

/** The token with another header, and all else as it was. */
export function withHeader(token: string, change: Record<string, unknown>): string {
  const [header = "", ...rest] = token.split(".");
  const bytes = Uint8Array.fromBase64(header, { alphabet: "base64url" });
  const changed = { ...JSON.parse(new TextDecoder().decode(bytes)), ...change };
  return [base64url(new TextEncoder().encode(JSON.stringify(changed))), ...rest].join(".");
}

function base64url(bytes: Uint8Array): string {
  return bytes.toBase64({ alphabet: "base64url", omitPadding: true });
}
