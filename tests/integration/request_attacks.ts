import { status } from "@grpc/grpc-js";
import { createCertificateRequest } from "../../src/shared/x509/certificate_request.ts";
import { generateKeyPair } from "../../src/shared/crypto/key_pairs.ts";
import { type Attack, type AttackedService, issue, pod, request, wait } from "./attack_fixture.ts";

const { UNIMPLEMENTED, INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNAVAILABLE } = status;

/** Attacks by the contents of a certificate request. */
export const byRequests: Attack[] = [
  ["random bytes", () => crypto.getRandomValues(new Uint8Array(500)), /not a PKCS #10 request/],
  ["10 kB", () => new Uint8Array(10_000).fill(0x30), /at most 8192/],
  ["100 kB", () => new Uint8Array(100_000).fill(0x30), /32768/, RESOURCE_EXHAUSTED],
  ["nothing at all", () => new Uint8Array(), /certificate_request: is empty/],
  ["a signature by another key", forgedSignature, /good signature by its own key/],
].map(([what, make, message, code = INVALID_ARGUMENT]) => ({
  attack: `a certificate request of ${what}`,
  run: async (service: AttackedService) => {
    service.put();
    const certificateRequest = await (make as () => Promise<Uint8Array> | Uint8Array)();
    return await service.driver.issueCertificate(await request({ certificateRequest }), wait);
  },
  code: code as status,
  message: message as RegExp,
}));

async function forgedSignature(): Promise<Uint8Array> {
  const der = await createCertificateRequest(await generateKeyPair("ed25519"));
  der[der.length - 1]! ^= 1;
  return der;
}

/** Attacks on other pods and nodes. */
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
];

/** No attacks: the API server is away, which must not look like a refusal. */
export const outages: Attack[] = [
  {
    attack: "an API server that does not list the driver's pods",
    run: async (service) => {
      const { client } = await service.attest("node-4");
      service.api.fail("list pods", 500);
      return await client.issueCertificate(await request(), wait);
    },
    code: UNAVAILABLE,
    message: /list pods csi-cert-system: the API server answered 500/,
  },
  {
    attack: "an API server that does not report pods",
    run: (service) => {
      service.api.fail("get pods", 503);
      return issue(service);
    },
    code: UNAVAILABLE,
    message: /failed: get pods/,
  },
];
