import { rolledOut, system } from "../../../scripts/support/install.ts";
import { kubectl } from "../../../scripts/support/kubectl.ts";

const deployment = "deployment/cert-service";
const file = "/etc/cert-service/policy/policy.yaml";

/**
 * Gives the service the text of a policy file as docs/how-to/set-a-policy.md describes, and waits
 * until all replicas have it. Disposing removes it.
 */
export async function givePolicy(text: string): Promise<AsyncDisposable> {
  await using undo = new AsyncDisposableStack();
  const configMap = {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "cert-service-policy", namespace: system },
    data: { "policy.yaml": text },
  };
  await kubectl(["apply", "-f", "-"], JSON.stringify(configMap));
  undo.defer(() => removed("configmap", "cert-service-policy"));
  await kubectl(["-n", system, "set", "env", deployment, `POLICY_FILE=${file}`]);
  undo.defer(async () => {
    await kubectl(["-n", system, "set", "env", deployment, "POLICY_FILE-"]);
    await rolledOut(deployment);
  });
  await rolledOut(deployment);
  return undo.move();
}

async function removed(kind: string, name: string): Promise<void> {
  await kubectl(["-n", system, "delete", kind, name]);
}
