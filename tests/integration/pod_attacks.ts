import { status } from "@grpc/grpc-js";
import { type Attack, issue, pod } from "./attack_fixture.ts";

const { PERMISSION_DENIED } = status;

/** Attacks by the node's driver, for pods that may not have a certificate from it. */
export const onPods: Attack[] = [
  {
    attack: "a pod that runs on another node",
    run: (service) => {
      service.put({ spec: { nodeName: "node-2" } });
      return issue(service);
    },
    code: PERMISSION_DENIED,
    message: /^pod shop\/web-0 does not run on node node-1$/,
  },
  {
    attack: "a pod that runs nowhere yet",
    run: (service) => {
      service.put({ spec: { nodeName: undefined } });
      return issue(service);
    },
    code: PERMISSION_DENIED,
    message: /does not run on node node-1/,
  },
  {
    attack: "a pod that is finished",
    run: (service) => {
      service.put({ status: { phase: "Succeeded" } });
      return issue(service);
    },
    code: PERMISSION_DENIED,
    message: /pod shop\/web-0 is finished/,
  },
  {
    attack: "a pod that is being deleted and has no certificate yet",
    run: (service) => {
      service.put({ metadata: { deletionTimestamp: "2026-03-01T12:00:00Z" } });
      return issue(service);
    },
    code: PERMISSION_DENIED,
    message: /is being deleted/,
  },
  {
    attack: "a pod that was deleted",
    run: (service) => {
      service.api.objects.delete("pods", pod.namespace, pod.name);
      return issue(service);
    },
    code: PERMISSION_DENIED,
    message: /there is no pod shop\/web-0 with uid 0f8fad5b/,
  },
  {
    attack: "a pod that was deleted and made again under its name",
    run: (service) => {
      service.put({ metadata: { uid: "9a3c54bd-52f6-4cd0-9c30-7bb1e8f8a5d1" } });
      return issue(service);
    },
    code: PERMISSION_DENIED,
    message: /^there is no pod shop\/web-0 with uid 0f8fad5b-d9cb-469f-a165-70867728950e$/,
  },
  {
    attack: "a pod that runs as another service account",
    run: (service) => {
      service.put();
      return issue(service, { serviceAccount: "admin" });
    },
    code: PERMISSION_DENIED,
    message: /^pod shop\/web-0 does not run as service account admin$/,
  },
  {
    attack: "a pod without the volume",
    run: (service) => {
      service.put({ spec: { volumes: [{ name: "certs", emptyDir: {} }] } });
      return issue(service);
    },
    code: PERMISSION_DENIED,
    message: /no volume certs of this driver in its spec/,
  },
  {
    attack: "a pod whose volume is another driver's",
    run: (service) => {
      service.put({ spec: { volumes: [{ name: "certs", csi: { driver: "other.example" } }] } });
      return issue(service);
    },
    code: PERMISSION_DENIED,
    message: /no volume certs of this driver in its spec/,
  },
  {
    attack: "a mirror pod, which the node itself wrote",
    run: (service) => {
      service.put({ metadata: { annotations: { "kubernetes.io/config.mirror": "x" } } });
      return issue(service);
    },
    code: PERMISSION_DENIED,
    message: /is a mirror pod/,
  },
  {
    attack: "a pod that a Node owns",
    run: (service) => {
      service.put({ metadata: { ownerReferences: [{ kind: "Node", name: "node-1" }] } });
      return issue(service);
    },
    code: PERMISSION_DENIED,
    message: /is a mirror pod/,
  },
  {
    attack: "an annotation that the node's kubelet wrote, used for a name",
    run: (service) => {
      service.put({
        metadata: { annotations: { host: "admin.shop.svc" } },
        attributes: { "dns-names": "{metadata.annotations.host}" },
      });
      return issue(service);
    },
    code: PERMISSION_DENIED,
    message:
      /uses an annotation, which is not granted by default because a node can write annotations/,
  },
  {
    attack: "pod IPs that the node's kubelet wrote, asked for as a name",
    run: (service) => {
      service.put({ status: { podIP: "10.0.0.1" }, attributes: { "ip-sans": "10.0.0.1" } });
      return issue(service);
    },
    code: PERMISSION_DENIED,
    message: /ip-sans "10\.0\.0\.1" is not granted by default/,
  },
  {
    attack: "another namespace's name in the volume's attributes",
    run: (service) => {
      service.put({ attributes: { "dns-names": "api.bank.svc" } });
      return issue(service);
    },
    code: PERMISSION_DENIED,
    message: /dns-names "api\.bank\.svc".*policy rule/,
  },
];
