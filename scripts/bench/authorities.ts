import {
  type IssueCertificateRequest,
  IssueCertificateRequestSchema,
} from "../../src/shared/gen/certificate_service_pb.ts";
import { create, toBinary } from "@bufbuild/protobuf";
import { createCertificateRequest } from "../../src/shared/x509/certificate_request.ts";
import { generateKeyPair } from "../../src/shared/crypto/key_pairs.ts";
import { encodePem } from "../../src/shared/crypto/pem.ts";

/** A CA on disk, as `openssl req -x509` makes it. */
export interface Ca {
  readonly name: string;
  readonly certificateFile: string;
  readonly privateKeyFile: string;
}

const keyOptions = {
  "P-256": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
  Ed25519: ["-newkey", "ed25519"],
  "RSA-4096": ["-newkey", "rsa:4096"],
} as const;

export type CaKind = keyof typeof keyOptions;

/** Makes a CA in a directory. */
export async function makeCa(directory: string, kind: CaKind): Promise<Ca> {
  const certificateFile = `${directory}/${kind}.crt`;
  const privateKeyFile = `${directory}/${kind}.key`;
  const { success, stderr } = await new Deno.Command("openssl", {
    args: [
      ...["req", "-x509", "-nodes", "-days", "30", "-subj", "/CN=Bench CA"],
      ...["-addext", "keyUsage=critical,keyCertSign,cRLSign"],
      ...keyOptions[kind],
      ...["-keyout", privateKeyFile, "-out", certificateFile],
    ],
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return { name: kind, certificateFile, privateKeyFile };
}

/** Requests for certificates of different pods' keys. */
export interface Requests {
  /** For cfssl: PEM. */
  readonly pems: readonly string[];
  /** For our service: an IssueCertificateRequest each, encoded. */
  readonly messages: readonly Uint8Array[];
}

/** Makes a number of requests, each for a P-256 key and a pod of its own. */
export async function makeRequests(count: number): Promise<Requests> {
  const pems: string[] = [];
  const messages: Uint8Array[] = [];
  for (let n = 0; n < count; n++) {
    const certificateRequest = await createCertificateRequest(await generateKeyPair("ecdsa-p256"));
    pems.push(encodePem("CERTIFICATE REQUEST", certificateRequest));
    const message: IssueCertificateRequest = create(IssueCertificateRequestSchema, {
      certificateRequest: certificateRequest as Uint8Array<ArrayBuffer>,
      pod: {
        namespace: "shop",
        name: `web-${n}`,
        uid: crypto.randomUUID(),
        serviceAccount: "default",
      },
      volume: { id: `csi-${n.toString(16).padStart(64, "0")}`, name: "certs", attributes: {} },
    });
    messages.push(toBinary(IssueCertificateRequestSchema, message));
  }
  return { pems, messages };
}
