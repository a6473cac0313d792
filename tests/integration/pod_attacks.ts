import { status } from "@grpc/grpc-js";
import type { podObject } from "../../scripts/support/api_pod.ts";
import { type Attack, issue, pod } from "./attack_fixture.ts";

type PodChanges = NonNullable<Parameters<typeof podObject>[0]>;

/** What a pod differs in from one that its node's driver gets a certificate for, and the reason. */
const pods: [attack: string, changes: PodChanges, reason: RegExp][] = [
  [
    "a pod that runs on another node",
    { spec: { nodeName: "node-2" } },
    /^pod shop\/web-0 does not run on node node-1$/,
  ],
  [
    "a pod that runs nowhere yet",
    { spec: { nodeName: undefined } },
    /does not run on node node-1/,
  ],
  [
    "a pod that is finished",
    { status: { phase: "Succeeded" } },
    /pod shop\/web-0 is finished/,
  ],
  [
    "a pod that is being deleted and has no certificate yet",
    { metadata: { deletionTimestamp: "2026-03-01T12:00:00Z" } },
    /is being deleted/,
  ],
  [
    "a pod that was deleted and made again under its name",
    { metadata: { uid: "9a3c54bd-52f6-4cd0-9c30-7bb1e8f8a5d1" } },
    /^there is no pod shop\/web-0 with uid 0f8fad5b-d9cb-469f-a165-70867728950e$/,
  ],
  [
    "a pod that runs as another service account",
    { spec: { serviceAccountName: "admin" } },
    /^pod shop\/web-0 does not run as service account web$/,
  ],
  [
    "a pod without the volume",
    { spec: { volumes: [{ name: "certs", emptyDir: {} }] } },
    /no volume certs of this driver in its spec/,
  ],
  [
    "a pod whose volume is another driver's",
    { spec: { volumes: [{ name: "certs", csi: { driver: "other.example" } }] } },
    /no volume certs of this driver in its spec/,
  ],
  [
    "a mirror pod, which the node itself wrote",
    { metadata: { annotations: { "kubernetes.io/config.mirror": "x" } } },
    /is a mirror pod/,
  ],
  [
    "a pod that a Node owns",
    { metadata: { ownerReferences: [{ kind: "Node", name: "node-1" }] } },
    /is a mirror pod/,
  ],
  [
    "an annotation that the node's kubelet wrote, used for a name",
    {
      metadata: { annotations: { host: "admin.shop.svc" } },
      attributes: { "dns-names": "{metadata.annotations.host}" },
    },
    /uses an annotation, which is not granted by default because a node can write annotations/,
  ],
  [
    "a pod IP that the node's kubelet wrote, requested as a name",
    { status: { podIP: "10.0.0.1" }, attributes: { "ip-sans": "10.0.0.1" } },
    /ip-sans "10\.0\.0\.1" is not granted by default/,
  ],
  [
    "another namespace's name in the volume's attributes",
    { attributes: { "dns-names": "api.bank.svc" } },
    /dns-names "api\.bank\.svc".*policy rule/,
  ],
];

/** Attacks by the node's driver, for pods that may not have a certificate from it. */
export const onPods: Attack[] = [
  ...pods.map(([attack, changes, message]): Attack => ({
    attack,
    run: (service) => {
      service.put(changes);
      return issue(service);
    },
    code: status.PERMISSION_DENIED,
    message,
  })),
  {
    attack: "a pod that was deleted",
    run: (service) => {
      service.api.objects.delete("pods", pod.namespace, pod.name);
      return issue(service);
    },
    code: status.PERMISSION_DENIED,
    message: /there is no pod shop\/web-0 with uid 0f8fad5b/,
  },
  {
    attack: "a service account that the pod does not have",
    run: (service) => {
      service.put();
      return issue(service, { serviceAccount: "admin" });
    },
    code: status.PERMISSION_DENIED,
    message: /^pod shop\/web-0 does not run as service account admin$/,
  },
];
