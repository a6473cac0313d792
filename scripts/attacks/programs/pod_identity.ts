import { fromBinary } from "@bufbuild/protobuf";
import { exportPrivateKey, generateKeyPair } from "../../../src/shared/crypto/key_pairs.ts";
import { encodePem } from "../../../src/shared/crypto/pem.ts";
import { IssueCertificateResponseSchema } from "../../../src/shared/gen/certificate_service_pb.ts";
import { createCertificateRequest } from "../../../src/shared/x509/certificate_request.ts";
import { RawConnection } from "../http2/connection.ts";
import {
  grpcHeaders,
  grpcMessage,
  issueMessage,
  methodPaths,
  type PodName,
} from "../http2/grpc_request.ts";
import type { ClientIdentity, TlsClientOptions } from "../http2/socket.ts";

/** Has the service issue a pod's certificate to a node, as a driver does for a volume. */
export async function issuePodIdentity(options: {
  readonly address: string;
  readonly tls: TlsClientOptions;
  readonly token?: string | undefined;
  readonly pod: PodName;
}): Promise<ClientIdentity> {
  const { address, tls, token, pod } = options;
  const keys = await generateKeyPair("ecdsa-p256");
  const message = issueMessage(await createCertificateRequest(keys), pod);
  using connection = await RawConnection.open({ address, tls });
  const more = token === undefined ? [] : [["authorization", `Bearer ${token}`] as const];
  const answer = await connection.request(
    grpcHeaders(methodPaths.issue, more),
    grpcMessage(message),
  );
  if (answer.grpcStatus !== "0") {
    throw new Error(`no certificate for the pod: ${answer.failure ?? answer.grpcMessage}`);
  }
  const response = fromBinary(IssueCertificateResponseSchema, answer.body.subarray(5));
  return {
    certificatePem: response.certificateChain.map((der) => encodePem("CERTIFICATE", der)).join(""),
    privateKeyPem: await exportPrivateKey(keys.privateKey),
  };
}
