import { status } from "@grpc/grpc-js";
import { createCertificateRequest } from "../../src/shared/x509/certificate_request.ts";
import { generateKeyPair } from "../../src/shared/crypto/key_pairs.ts";
import {
  type Attack,
  type AttackedService,
  issue,
  issueAs,
  pod,
  request,
  wait,
} from "./attack_fixture.ts";

const { UNAUTHENTICATED, PERMISSION_DENIED, UNIMPLEMENTED, INVALID_ARGUMENT, UNAVAILABLE } = status;

/** Attacks by what is in a certificate request. */
export const byRequests: Attack[] = [
  ["random bytes", () => crypto.getRandomValues(new Uint8Array(500)), /not a PKCS #10 request/],
  ["100 kB", () => new Uint8Array(100_000).fill(0x30), /at most 8192/],
  ["nothing at all", () => new Uint8Array(), /certificate_request: is empty/],
  ["a signature by another key", forgedSignature, /good signature by its own key/],
].map(([what, make, message]) => ({
  attack: `a certificate request of ${what}`,
  run: async (service: AttackedService) => {
    service.put();
    const certificateRequest = await (make as () => Promise<Uint8Array> | Uint8Array)();
    return await service.driver.issueCertificate(await request({ certificateRequest }), wait);
  },
  code: INVALID_ARGUMENT,
  message: message as RegExp,
}));

async function forgedSignature(): Promise<Uint8Array> {
  const der = await createCertificateRequest(await generateKeyPair("ed25519"));
  der[der.length - 1]! ^= 1;
  return der;
}

/** Attacks on what belongs to others. */
export const onOthers: Attack[] = [
  {
    attack: "a node that revokes",
    run: ({ administrationByDriver }) =>
      administrationByDriver.revokeCertificate(
        { target: { case: "podUid", value: pod.uid } },
        wait,
      ),
    code: UNIMPLEMENTED,
    message: /CertificateAdministration/,
    calls: 0,
  },
  {
    attack: "a node that lists",
    run: ({ administrationByDriver }) =>
      Array.fromAsync(administrationByDriver.listCertificates({}, wait), () => 0),
    code: UNIMPLEMENTED,
    message: /CertificateAdministration/,
    calls: 0,
  },
  {
    attack: "a pod's account that reports certificates",
    run: (service) =>
      service.as(service.token({ account: "shop/web" }))
        .reportCertificates({ certificates: [] }, wait),
    code: PERMISSION_DENIED,
    message: /shop:web is not the drivers' service account/,
  },
  {
    attack: "a stranger that watches the trust bundle",
    run: (service) => Array.fromAsync(service.as(undefined).watchTrustBundle({}, wait), () => 0),
    code: UNAUTHENTICATED,
    message: /no token was sent/,
  },
];

/** No attacks: the API server is away, which must not look like a refusal. */
export const outages: Attack[] = [
  {
    attack: "an API server that does not review tokens",
    run: (service) => {
      service.api.fail("create tokenreviews", 500);
      return issueAs(service, service.token());
    },
    code: UNAVAILABLE,
    message: /cannot be asked: create tokenreviews/,
  },
  {
    attack: "an API server that does not tell of pods",
    run: (service) => {
      service.api.fail("get pods", 503);
      return issue(service);
    },
    code: UNAVAILABLE,
    message: /cannot be asked: get pods/,
  },
];
