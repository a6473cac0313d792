import { status } from "@grpc/grpc-js";
import { TestCa } from "../../scripts/support/test_ca.ts";
import { type Attack, issueAs, pod, podPair, wait } from "./attack_fixture.ts";

const { UNAVAILABLE, PERMISSION_DENIED } = status;

const nodeUri = "spiffe://cluster.local/csi-cert-node/node-1";
/** The connection ends before a call; a client whose certificate is refused sees nothing else. */
const connectionEnds = { code: UNAVAILABLE, message: /./, refused: "tls", calls: 0 };

/** Attacks by callers other than the driver of the pod's node. */
export const byCallers: Attack[] = [
  {
    attack: "a caller without a certificate",
    run: (service) => issueAs(service.as(undefined)),
    ...connectionEnds,
  },
  {
    attack: "the certificate of the pod itself",
    run: async (service) => {
      const dnsNames = [`${pod.name}.${pod.namespace}.svc.cluster.local`];
      return await issueAs(service.as(await podPair(service, { dnsNames })));
    },
    ...connectionEnds,
  },
  {
    attack: "a certificate of the pods' CA that names the node",
    run: async (service) => await issueAs(service.as(await podPair(service, { uris: [nodeUri] }))),
    ...connectionEnds,
  },
  {
    attack: "a certificate of the attacker's own CA that names the node",
    run: async (service) => {
      const ca = await TestCa.create("CSI certificate driver node CA");
      return await issueAs(service.as(await ca.issue(nodeUri)));
    },
    ...connectionEnds,
  },
  {
    attack: "an unauthenticated client that watches the trust bundle",
    run: (service) => Array.fromAsync(service.as(undefined).watchTrustBundle({}, wait), () => 0),
    ...connectionEnds,
  },
  {
    attack: "a pod that reports certificates",
    run: async (service) => {
      const pair = await podPair(service, { uris: [nodeUri] });
      return await service.as(pair).reportCertificates({ certificates: [] }, wait);
    },
    ...connectionEnds,
  },
  {
    attack: "another node's driver",
    run: (service) => issueAs(service.otherDriver),
    code: PERMISSION_DENIED,
    message: /^pod shop\/web-0 does not run on node node-2$/,
    calls: 2,
  },
];
