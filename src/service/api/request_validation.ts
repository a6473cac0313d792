import type { ReportedCertificate } from "../inventory/certificate_reports.ts";
import type { InventoryFilter } from "../inventory/inventory_entry.ts";
import type { NodeReportPart } from "../inventory/node_reports.ts";
import type { IssueRequest } from "../issuing/certificate_issuer.ts";
import type { PodIdentity } from "../../shared/attributes/pod_identity.ts";
import type {
  IssueCertificateRequest,
  ListCertificatesRequest,
  Pod,
  RenewCertificateRequest,
  ReportCertificatesRequest,
  RevokeCertificateRequest,
} from "../../shared/gen/certificate_service_pb.ts";
import { isIdentifier, isObjectName, isUid } from "../../shared/text/kubernetes_names.ts";
import { isDnsLabel } from "../../shared/text/name_syntax.ts";
import { abbreviate, hasUnprintable, joinProblems } from "../../shared/text/printable_text.ts";
import { requestFailureError } from "./error_status.ts";

/** What a field accepts: in words, and as a predicate. */
interface Format {
  readonly accepted: string;
  readonly accepts: (value: string) => boolean;
}

const formats = {
  label: {
    accepted: "1 to 63 of a-z 0-9 -, a letter or digit at both ends",
    accepts: isDnsLabel,
  },
  objectName: {
    accepted: "the name of a Kubernetes object: 1 to 253 of a-z 0-9 - .",
    accepts: isObjectName,
  },
  identifier: {
    accepted: "1 to 128 of A-Z a-z 0-9 . _ -, a letter or digit first",
    accepts: isIdentifier,
  },
  uid: {
    accepted: "the uid of a pod in Kubernetes, such as 7d1f7a3c-1f0e-4b5f-9d8e-2f6f5b1c9a11",
    accepts: isUid,
  },
  // RFC 5280, 4.1.2.2: a serial number has at most 20 bytes.
  serialNumber: {
    accepted: "1 to 40 of 0-9 a-f, as in the certificate",
    accepts: (value) => /^[0-9a-f]{1,40}$/.test(value),
  },
  version: {
    accepted: "at most 64 printable characters",
    accepts: (value) => value.length <= 64 && !hasUnprintable(value),
  },
  reason: {
    accepted: "at most 256 printable characters",
    accepts: (value) => value.length <= 256 && !hasUnprintable(value),
  },
} satisfies Record<string, Format>;

/** A driver reports in batches of this size; each entry costs the verification of a signature. */
const maxReported = 100;
/** Volumes in one part of a report. A message with more than 1,024 fields is rejected before. */
const maxVolumes = 1_000;
const maxReleased = 300;
/** More problems are only counted: 2 KiB of empty entries cause five thousand. */
const maxProblems = 10;

/** Collects the problems of a request, and throws them as one INVALID_ARGUMENT. */
class RequestValidator {
  readonly #problems: string[] = [];
  #unlisted = 0;

  text(field: string, value: string | undefined, { accepted, accepts }: Format): string {
    if (value !== undefined && accepts(value)) return value;
    if (this.#isFull()) return "";
    const given = value === undefined
      ? "is missing"
      : value === ""
      ? "is empty"
      : `is "${abbreviate(value)}"`;
    this.reject(`${field}: ${given}, expected ${accepted}`);
    return "";
  }

  pod(field: string, pod: Pod | undefined): PodIdentity {
    return {
      namespace: this.text(`${field}.namespace`, pod?.namespace, formats.label),
      name: this.text(`${field}.name`, pod?.name, formats.objectName),
      uid: this.text(`${field}.uid`, pod?.uid, formats.identifier),
      serviceAccount: this.text(
        `${field}.service_account`,
        pod?.serviceAccount,
        formats.objectName,
      ),
    };
  }

  reject(problem: string): void {
    if (!this.#isFull()) this.#problems.push(problem);
  }

  /** Whether no more problems are described; counts the one that is not. */
  #isFull(): boolean {
    if (this.#problems.length < maxProblems) return false;
    this.#unlisted++;
    return true;
  }

  end(): void {
    if (this.#problems.length === 0) return;
    const reason = joinProblems(this.#problems, this.#unlisted);
    throw requestFailureError({ kind: "invalid", reason });
  }
}

/** Throws INVALID_ARGUMENT with every field that is wrong, as all functions below do. */
export function validateIssueRequest(
  message: IssueCertificateRequest | RenewCertificateRequest,
): IssueRequest {
  const validator = new RequestValidator();
  const { certificateRequest, volume } = message;
  if (certificateRequest.length === 0) {
    validator.reject("certificate_request: is empty, expected a PKCS#10 request, DER");
  }
  const request = {
    certificateRequest,
    pod: validator.pod("pod", message.pod),
    volumeId: validator.text("volume.id", volume?.id, formats.identifier),
    volumeName: validator.text("volume.name", volume?.name, formats.label),
    attributes: volume?.attributes ?? {},
    predecessor: "predecessorSerialNumber" in message
      ? validator.text(
        "predecessor_serial_number",
        message.predecessorSerialNumber,
        formats.serialNumber,
      )
      : undefined,
  };
  validator.end();
  return request;
}

export function validateSerialNumber(serialNumber: string): string {
  const validator = new RequestValidator();
  validator.text("serial_number", serialNumber, formats.serialNumber);
  validator.end();
  return serialNumber;
}

/** The certificates to revoke: those of a pod, or the client certificates of a node. */
export type RevocationTarget =
  | { readonly serialNumber: string }
  | { readonly podUid: string }
  | { readonly node: string };

export function validateRevokeRequest(
  { target, reason }: RevokeCertificateRequest,
): { target: RevocationTarget; reason: string } {
  const validator = new RequestValidator();
  validator.text("reason", reason, formats.reason);
  const value = target.value ?? "";
  const read = (): RevocationTarget => {
    switch (target.case) {
      case "podUid":
        return { podUid: validator.text("pod_uid", value, formats.uid) };
      case "nodeName":
        return { node: validator.text("node_name", value, formats.objectName) };
      case "serialNumber":
        return { serialNumber: validator.text("serial_number", value, formats.serialNumber) };
      case undefined:
        validator.reject("target: is missing, expected serial_number, pod_uid or node_name");
        return { serialNumber: "" };
    }
  };
  const validated = { target: read(), reason };
  validator.end();
  return validated;
}

export function validateListRequest(
  { namespace, podUid, podName, node, includeReleased }: ListCertificatesRequest,
): InventoryFilter {
  const validator = new RequestValidator();
  const optional = (field: string, value: string, format: Format) =>
    value === "" ? undefined : validator.text(field, value, format);
  const filter = {
    namespace: optional("namespace", namespace, formats.label),
    podUid: optional("pod_uid", podUid, formats.identifier),
    podName: optional("pod_name", podName, formats.objectName),
    node: optional("node", node, formats.objectName),
    includeReleased,
  };
  validator.end();
  return filter;
}

export function validateReportRequest(
  message: ReportCertificatesRequest,
): { certificates: ReportedCertificate[]; part: NodeReportPart } {
  const { certificates, reportId, volumeIds, released, driverVersion } = message;
  const validator = new RequestValidator();
  const lists = [
    ["certificates", certificates.length, maxReported],
    ["volume_ids", volumeIds.length, maxVolumes],
    ["released", released.length, maxReleased],
  ] as const;
  for (const [field, length, most] of lists) {
    if (length <= most) continue;
    validator.reject(`${field}: has ${length} entries, expected at most ${most}`);
  }
  validator.end();
  const held = certificates.map(({ certificate, pod, volumeId }, at) => ({
    certificate,
    pod: validator.pod(`certificates[${at}].pod`, pod),
    volumeId: validator.text(`certificates[${at}].volume_id`, volumeId, formats.identifier),
  }));
  const optional = (field: string, value: string, format: Format) =>
    value === "" ? undefined : validator.text(field, value, format);
  const clockSkewMs = message.clockSkewMs === undefined ? undefined : Number(message.clockSkewMs);
  // Rounded to a Number, the highest int64 is none any more: no list of the nodes could contain it.
  if (clockSkewMs !== undefined && !Number.isSafeInteger(clockSkewMs)) {
    validator.reject(
      `clock_skew_ms: is ${message.clockSkewMs}, expected at most 2^53 - 1 either way`,
    );
  }
  const part = {
    reportId: optional("report_id", reportId, formats.identifier),
    part: message.part,
    isLast: message.isLast,
    volumeIds: volumeIds.map((id, at) =>
      validator.text(`volume_ids[${at}]`, id, formats.identifier)
    ),
    released: released.map(({ volumeId, serialNumber }, at) => ({
      volumeId: validator.text(`released[${at}].volume_id`, volumeId, formats.identifier),
      serialNumber: validator.text(
        `released[${at}].serial_number`,
        serialNumber,
        formats.serialNumber,
      ),
    })),
    driverVersion: optional("driver_version", driverVersion, formats.version),
    clockSkewMs,
  };
  validator.end();
  return { certificates: held, part };
}
