import {
  describeProblems as describeAttributeProblems,
  parseAttributes,
} from "../../shared/attributes/attribute_parser.ts";
import type { PodIdentity } from "../../shared/attributes/pod_identity.ts";
import { isIdentifier, isObjectName } from "../../shared/text/kubernetes_names.ts";
import { isDnsLabel } from "../../shared/text/name_syntax.ts";
import type { PublishedTarget } from "../volume/publisher.ts";
import { parseTargetPath } from "../volume/target_path.ts";
import type { Volume } from "../volume/volume_record.ts";

/** A publish call as it arrived, free of the transport's types; nothing in it is trusted yet. */
export interface PublishCall {
  readonly volumeId: string;
  readonly targetPath: string;
  readonly access: "mount" | "block" | undefined;
  /** The access mode's name in the CSI specification; undefined when the message had none. */
  readonly accessMode: string | undefined;
  readonly fsType: string;
  readonly mountFlags: readonly string[];
  readonly volumeMountGroup: string;
  readonly volumeContext: Readonly<Record<string, string>>;
}

/** Why a request is rejected: the field, what is wrong with its value, what is accepted. */
interface FieldProblem {
  readonly field: string;
  readonly found: string;
  readonly expected: string;
}

export type ParseResult<T> =
  | { readonly kind: "request"; readonly request: T }
  | { readonly kind: "refused"; readonly reason: string };

const kubeletPrefix = "csi.storage.k8s.io/";
const accessModes = [
  "SINGLE_NODE_WRITER",
  "SINGLE_NODE_READER_ONLY",
  "SINGLE_NODE_SINGLE_WRITER",
  "SINGLE_NODE_MULTI_WRITER",
];

/**
 * Checks a publish call; every problem is reported, not only the first. A call whose attributes alone are rejected is
 * a request, because it can be for a volume that another version of the driver published.
 */
export function parsePublishRequest(raw: PublishCall): ParseResult<Volume> {
  const problems: FieldProblem[] = [];
  const volumeId = checkVolumeId(raw.volumeId, problems);
  checkCapability(raw, problems);
  const group = checkGroup(raw.volumeMountGroup, problems);
  const pod = checkPod(raw.volumeContext, problems);
  const volumeName = checkTarget(raw.targetPath, pod.uid, problems);
  const attributes = userAttributes(raw.volumeContext);
  const parsed = parseAttributes(attributes);
  const rejectionReason = describeAttributeProblems(
    parsed,
    (attribute) => `volume_context["${attribute}"]`,
  );
  if (problems.length > 0) {
    const reasons = [describeProblems(problems), rejectionReason];
    return { kind: "refused", reason: reasons.filter((reason) => reason !== undefined).join("; ") };
  }
  const { targetPath } = raw;
  const request = {
    volumeId,
    volumeName,
    targetPath,
    pod,
    attributes,
    parsed: parsed.understood,
    rejectionReason,
    group,
  };
  return { kind: "request", request };
}

/** Checks an unpublish call. */
export function parseUnpublishRequest(
  raw: PublishedTarget,
): ParseResult<PublishedTarget> {
  const problems: FieldProblem[] = [];
  const volumeId = checkVolumeId(raw.volumeId, problems);
  checkTarget(raw.targetPath, undefined, problems);
  if (problems.length > 0) return { kind: "refused", reason: describeProblems(problems) };
  return { kind: "request", request: { volumeId, targetPath: raw.targetPath } };
}

/** The problems as one sentence each, for the event that the pod's author reads. */
function describeProblems(problems: readonly FieldProblem[]): string {
  return problems.map(({ field, found, expected }) => `${field}: ${found}, expected ${expected}`)
    .join("; ");
}

/** A value as messages contain it: quoted, control characters escaped, shortened. */
function quoteShort(text: string, most = 60): string {
  return JSON.stringify(text.length > most ? `${text.slice(0, most)}…` : text);
}

function describeValue(text: string | undefined): string {
  return text === undefined ? "is missing" : text === "" ? "is empty" : `is ${quoteShort(text)}`;
}

function userAttributes(context: Readonly<Record<string, string>>): Record<string, string> {
  // All keys of the kubelet's own are left out: a newer kubelet may add some, and
  // serviceAccount.tokens must not reach a record or a log.
  return Object.fromEntries(
    Object.entries(context).filter(([key]) => !key.startsWith(kubeletPrefix)),
  );
}

function checkVolumeId(volumeId: string, problems: FieldProblem[]): string {
  if (!isIdentifier(volumeId)) {
    problems.push({
      field: "volume_id",
      found: describeValue(volumeId),
      expected: "1 to 128 of A-Z a-z 0-9 . _ -, a letter or digit first",
    });
  }
  return volumeId;
}

function checkCapability(raw: PublishCall, problems: FieldProblem[]): void {
  if (raw.access !== "mount") {
    problems.push({
      field: "volume_capability.access_type",
      found: raw.access === undefined ? "is missing" : `is ${raw.access}`,
      expected: "mount (certificates are files)",
    });
  }
  if (raw.accessMode === undefined || !accessModes.includes(raw.accessMode)) {
    problems.push({
      field: "volume_capability.access_mode",
      found: raw.accessMode === undefined ? "is missing" : `is ${raw.accessMode}`,
      expected: accessModes.join(" or "),
    });
  }
  if (raw.fsType !== "" && raw.fsType !== "tmpfs") {
    problems.push({
      field: "volume_capability.mount.fs_type",
      found: describeValue(raw.fsType),
      expected: "nothing or tmpfs",
    });
  }
  if (raw.mountFlags.length > 0) {
    problems.push({
      field: "volume_capability.mount.mount_flags",
      found: `has ${raw.mountFlags.length} entries`,
      expected: "none: the driver chooses the mount options",
    });
  }
}

function checkGroup(group: string, problems: FieldProblem[]): number | undefined {
  if (group === "") return undefined;
  // The largest gid_t means "no change" in chown(2).
  if (/^[0-9]{1,10}$/.test(group) && Number(group) < 2 ** 32 - 1) return Number(group);
  problems.push({
    field: "volume_capability.mount.volume_mount_group",
    found: describeValue(group),
    expected: "a numeric group id from 0 to 4294967294",
  });
  return undefined;
}

function checkPod(
  context: Readonly<Record<string, string>>,
  problems: FieldProblem[],
): PodIdentity {
  const check = (key: string, accepts: (value: string) => boolean, expected: string): string => {
    const value = Object.hasOwn(context, kubeletPrefix + key)
      ? context[kubeletPrefix + key]
      : undefined;
    if (value === undefined || !accepts(value)) {
      const field = `volume_context["${kubeletPrefix}${key}"]`;
      problems.push({ field, found: describeValue(value), expected });
    }
    return value ?? "";
  };
  check(
    "ephemeral",
    (value) => value === "true",
    `"true": this driver serves inline ephemeral volumes only`,
  );
  return {
    name: check("pod.name", isObjectName, "the pod's name (needs podInfoOnMount in the CSIDriver)"),
    namespace: check(
      "pod.namespace",
      isDnsLabel,
      "the pod's namespace",
    ),
    uid: check("pod.uid", isIdentifier, "the pod's uid"),
    serviceAccount: check("serviceAccount.name", isObjectName, "the pod's service account"),
  };
}

function checkTarget(path: string, podUid: string | undefined, problems: FieldProblem[]): string {
  const target = parseTargetPath(path);
  const ownPod = podUid === undefined || podUid === "" || target?.podUid === podUid;
  if (target !== undefined && ownPod) return target.volumeName;
  problems.push({
    field: "target_path",
    found: describeValue(path),
    expected: `an absolute path without "." and ".." that ends in /pods/${
      podUid || "POD_UID"
    }/volumes/kubernetes.io~csi/VOLUME/mount`,
  });
  return "";
}
