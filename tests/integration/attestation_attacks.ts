import assert from "node:assert/strict";
import { connect } from "node:tls";
import { createCertificateRequest } from "../../src/shared/x509/certificate_request.ts";
import { generateKeyPair } from "../../src/shared/crypto/key_pairs.ts";
import { encodePem } from "../../src/shared/crypto/pem.ts";
import { serverName } from "../../src/shared/text/product_names.ts";
import { driverPod, driverToken } from "../support/attested_driver.ts";
import { readAnswer, requestOf, secured } from "../service/attestation/endpoint_fixture.ts";
import { type AttackedService, pod } from "./attack_fixture.ts";

/** A request to the attestation endpoint, and the answer that it has to have. */
export interface AttestationAttack {
  readonly attack: string;
  readonly token: (service: AttackedService) => string;
  readonly status: number;
  readonly message: RegExp;
  /** The calls to the API server that the answer costs. */
  readonly calls: readonly RegExp[];
}

const review = /^create tokenreviews$/;
const getDriver = /^get pods csi-cert-system\/csi-cert-driver-node-3$/;

/** Tokens that are rejected; the tests of the Attestor check the claims of a token. */
export const onAttestation: AttestationAttack[] = [
  {
    attack: "the stolen token of the very pod",
    token: ({ api }) =>
      api.tokens.make({ account: "shop/web", pod: { name: pod.name, uid: pod.uid } }),
    status: 403,
    message: /^the token is not of service account csi-cert-system\/csi-cert-driver; see DRIVER_/,
    calls: [],
  },
  {
    attack: "the token of another service account beside the driver",
    token: ({ api }) => api.tokens.make({ account: "csi-cert-system/cert-service" }),
    status: 403,
    message: /not of service account csi-cert-system\/csi-cert-driver/,
    calls: [],
  },
  {
    attack: "a token of the driver's account that no pod bears",
    token: ({ api }) => api.tokens.make({ pod: null }),
    status: 403,
    message: /not bound to a pod/,
    calls: [],
  },
  {
    attack: "a token with a forged signature",
    token: ({ api }) => driverToken(api, "node-3").replace(/\.[^.]+$/, `.${"A".repeat(86)}`),
    status: 401,
    message: /signature is not by the key of the cluster/,
    calls: [],
  },
  {
    attack: "the token of a driver's pod that is gone",
    token: ({ api }) => {
      const { name, uid } = driverPod("node-3");
      return api.tokens.make({ pod: { name, uid }, node: "node-3", revoked: true });
    },
    status: 401,
    message: /its pod or service account is gone/,
    calls: [review],
  },
  {
    attack: "the token of a driver's pod that runs on another node than the token says",
    token: ({ api }) => {
      driverToken(api, "node-3");
      const { name, uid } = driverPod("node-3");
      return api.tokens.make({ pod: { name, uid }, node: "node-1" });
    },
    status: 403,
    message: /does not run on the node that the token names/,
    calls: [review, getDriver],
  },
  {
    attack: "an API server that does not review tokens, which is no refusal",
    token: ({ api }) => {
      api.fail("create tokenreviews", 500);
      return driverToken(api, "node-3");
    },
    status: 503,
    message: /create tokenreviews: the API server answered 500/,
    calls: [review],
  },
  {
    attack: "an API server that does not report pods, which is no refusal",
    token: ({ api }) => {
      api.fail("get pods", 503);
      return driverToken(api, "node-3");
    },
    status: 503,
    message: /get pods: the API server answered 503/,
    calls: [review, getDriver],
  },
];

/** Sends a token to the attestation endpoint, with a valid certificate request. */
export async function showToken(
  { attestationPort, trustBundlePem }: AttackedService,
  token: string,
) {
  const request = await createCertificateRequest(await generateKeyPair("ecdsa-p256"));
  const certificateSigningRequest = encodePem("CERTIFICATE REQUEST", request);
  const socket = connect({
    host: "127.0.0.1",
    port: attestationPort,
    servername: serverName,
    ca: trustBundlePem,
    ALPNProtocols: ["http/1.1"],
  });
  const answer = readAnswer(socket);
  await secured(socket);
  socket.write(requestOf(JSON.stringify({ token, certificateSigningRequest })));
  const answered = await answer;
  assert(answered !== undefined, "there was no answer");
  return answered;
}
