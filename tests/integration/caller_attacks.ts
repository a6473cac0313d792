import { status } from "@grpc/grpc-js";
import { type Attack, issueAs, pod } from "./attack_fixture.ts";

const { UNAUTHENTICATED, PERMISSION_DENIED } = status;

/** Attacks by those who are not the driver of the pod's node. */
export const byCallers: Attack[] = [
  {
    attack: "a caller without a token",
    run: (service) => issueAs(service, undefined),
    code: UNAUTHENTICATED,
    message: /no token was sent/,
    calls: 0,
  },
  {
    attack: "garbage in a token's place",
    run: (service) => issueAs(service, "garbage.garbage.garbage"),
    code: UNAUTHENTICATED,
    message: /no JSON Web Token/,
    calls: 0,
  },
  {
    attack: "a token of 10 kB",
    run: (service) => issueAs(service, "x".repeat(10_000)),
    code: UNAUTHENTICATED,
    message: /at most 8192 characters/,
    calls: 0,
  },
  {
    attack: "a token for the API server, not for this service",
    run: (service) =>
      issueAs(service, service.token({ audiences: ["https://kubernetes.default.svc"] })),
    code: UNAUTHENTICATED,
    message: /another audience/,
    calls: 0,
  },
  {
    attack: "a token that has expired",
    run: (service) => {
      const expiresAt = Temporal.Now.instant().subtract({ hours: 1 });
      return issueAs(service, service.token({ expiresAt }));
    },
    code: UNAUTHENTICATED,
    message: /expired at/,
    calls: 0,
  },
  {
    attack: "a token with a forged signature",
    run: (service) => issueAs(service, service.token().replace(/\.[^.]+$/, ".Zm9yZ2Vk")),
    code: UNAUTHENTICATED,
    message: /does not accept the token/,
    calls: 1,
  },
  {
    attack: "the token of a driver's pod that is gone",
    run: (service) => issueAs(service, service.token({ revoked: true })),
    code: UNAUTHENTICATED,
    message: /its pod or service account is gone/,
    calls: 1,
  },
  {
    attack: "the stolen token of the very pod",
    run: (service) => {
      const stolen = { name: pod.name, uid: pod.uid };
      return issueAs(service, service.token({ account: "shop/web", pod: stolen }));
    },
    code: PERMISSION_DENIED,
    message: /system:serviceaccount:shop:web is not the drivers' service account/,
    calls: 1,
  },
  {
    attack: "the token of another service account beside the driver",
    run: (service) => issueAs(service, service.token({ account: "csi-cert-system/cert-service" })),
    code: PERMISSION_DENIED,
    message: /csi-cert-system:cert-service is not the drivers' service account/,
    calls: 1,
  },
  {
    attack: "a token of the driver's account that no pod bears",
    run: (service) => issueAs(service, service.token({ pod: null })),
    code: PERMISSION_DENIED,
    message: /bound to no pod/,
    calls: 0,
  },
  {
    attack: "another node's driver",
    run: (service) => issueAs(service, service.token({ node: "node-2" })),
    code: PERMISSION_DENIED,
    message: /^pod shop\/web-0 does not run on node node-2$/,
    calls: 2,
  },
];
