import { installed } from "../../shared/text/product_names.ts";
import type { NewCa } from "./init_ca.ts";

/**
 * The objects that an installation needs before the service starts, for `kubectl apply -f -`: the
 * namespace, the CA, and the trust bundle with which drivers verify the service. Contains the CA's
 * private key.
 */
export function caManifest({ certificatePem, privateKeyPem }: NewCa): string {
  const { namespace, caSecret, trustBundle } = installed;
  return `apiVersion: v1
kind: Namespace
metadata:
  name: ${namespace}
  labels:
    app.kubernetes.io/part-of: csi-cert-driver
    pod-security.kubernetes.io/enforce: privileged
---
apiVersion: v1
kind: Secret
metadata:
  name: ${caSecret}
  namespace: ${namespace}
type: kubernetes.io/tls
data:
  tls.crt: ${btoa(certificatePem)}
  tls.key: ${btoa(privateKeyPem)}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: ${trustBundle}
  namespace: ${namespace}
data:
  ca.crt: |
${certificatePem.trimEnd().split("\n").map((line) => `    ${line}`).join("\n")}
`;
}
