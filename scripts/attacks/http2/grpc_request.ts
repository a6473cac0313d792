/** gRPC over HTTP/2 as bytes: paths of the service's methods, headers, and messages with their prefix. */
import { create, toBinary } from "@bufbuild/protobuf";
import {
  IssueCertificateRequestSchema,
  RenewCertificateRequestSchema,
  ReportCertificatesRequestSchema,
} from "../../../src/shared/gen/certificate_service_pb.ts";
import { generateKeyPair } from "../../../src/shared/crypto/key_pairs.ts";
import { createCertificateRequest } from "../../../src/shared/x509/certificate_request.ts";
import { concat } from "./frames.ts";
import type { HeaderPair } from "./hpack.ts";

const service = "/certservice.v1.CertificateService/";

/** The paths that are called: some are served on one port only, and an attacker tries all of them. */
export const methodPaths = {
  issue: `${service}IssueCertificate`,
  renew: `${service}RenewCertificate`,
  report: `${service}ReportCertificates`,
  watch: `${service}WatchTrustBundle`,
  list: `${service}ListCertificates`,
  revoke: `${service}RevokeCertificate`,
  info: `${service}GetCertificateInfo`,
  health: "/grpc.health.v1.Health/Check",
  healthWatch: "/grpc.health.v1.Health/Watch",
  reflection: "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
  unknown: "/nothing.v1.Nothing/Nothing",
} as const;

export function grpcHeaders(path: string, more: readonly HeaderPair[] = []): HeaderPair[] {
  return [
    [":method", "POST"],
    [":scheme", "https"],
    [":path", path],
    [":authority", "cert-service"],
    ["content-type", "application/grpc"],
    ["te", "trailers"],
    ...more,
  ];
}

/** A message with its prefix; `length`: what the prefix states, where it is not the message's. */
export function grpcMessage(
  message: Uint8Array,
  { compressed = 0, length = message.length } = {},
): Uint8Array {
  const prefix = new Uint8Array(5);
  prefix[0] = compressed;
  new DataView(prefix.buffer).setUint32(1, length);
  return concat(prefix, message);
}

/** A pod, as the drivers name it. */
export interface PodName {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly serviceAccount: string;
}

/** The pod that all honest calls are for. */
export const examplePod: PodName = {
  namespace: "shop",
  name: "web-0",
  uid: "0f8fad5b-d9cb-469f-a165-70867728950e",
  serviceAccount: "web",
};

/** PKCS#10, DER; one is enough for many calls. */
export async function exampleRequest(): Promise<Uint8Array> {
  return await createCertificateRequest(await generateKeyPair("ecdsa-p256"));
}

export function issueMessage(certificateRequest: Uint8Array, pod = examplePod): Uint8Array {
  return toBinary(
    IssueCertificateRequestSchema,
    create(IssueCertificateRequestSchema, {
      certificateRequest,
      pod: { ...pod },
      volume: { id: "csi-1", name: "certs", attributes: {} },
    }),
  );
}

export function renewMessage(certificateRequest: Uint8Array, pod = examplePod): Uint8Array {
  return toBinary(
    RenewCertificateRequestSchema,
    create(RenewCertificateRequestSchema, {
      certificateRequest,
      pod: { ...pod },
      volume: { id: "csi-1", name: "certs", attributes: {} },
      predecessorSerialNumber: "a1",
    }),
  );
}

export function reportMessage(certificates: readonly Uint8Array[]): Uint8Array {
  return toBinary(
    ReportCertificatesRequestSchema,
    create(ReportCertificatesRequestSchema, {
      certificates: certificates.map((certificate) => ({
        certificate,
        pod: { ...examplePod },
        volumeId: "csi-1",
      })),
    }),
  );
}
