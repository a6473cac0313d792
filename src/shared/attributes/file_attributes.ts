import {
  type AttributeTexts,
  readAttribute,
  type ReadResult,
  type ReportProblem,
} from "./attribute_reader.ts";
import type { VolumeAttributes } from "./volume_attributes.ts";

/** `file-mode`, `certificate-file`, `privatekey-file` and `ca-file`. */
export function readFileAttributes(
  values: AttributeTexts,
  report: ReportProblem,
): Pick<VolumeAttributes, "fileMode" | "certificateFile" | "privateKeyFile" | "caFile"> {
  const fileMode = readAttribute(values, "file-mode", report, readMode);
  const certificateFile = readAttribute(values, "certificate-file", report, readFileName) ??
    "tls.crt";
  const privateKeyFile = readAttribute(values, "privatekey-file", report, readFileName) ??
    "tls.key";
  const caFile = readAttribute(values, "ca-file", report, readFileName) ?? "ca.crt";
  const names = [
    ["certificate-file", certificateFile],
    ["privatekey-file", privateKeyFile],
    ["ca-file", caFile],
  ] as const;
  for (const [attribute, name] of names) {
    const twin = names.find(([other, same]) => other !== attribute && same === name);
    if (twin && values.get(attribute) !== undefined) {
      report(attribute, name, `a name other than that of ${twin[0]}`);
    }
  }
  return { fileMode, certificateFile, privateKeyFile, caFile };
}

function readMode(text: string): ReadResult<number> {
  const mode = /^0?[0-7]{3}$/.test(text) ? parseInt(text, 8) : 0;
  if ((mode & 0o400) !== 0 && (mode & 0o022) === 0) return { value: mode };
  return {
    expected: 'three or four octal digits such as "0440": readable for the owner, ' +
      "not writable for group and others, no special bits",
  };
}

function readFileName(text: string): ReadResult<string> {
  const isName = /^[A-Za-z0-9._-]{1,128}$/.test(text) && text !== "." && !text.startsWith("..");
  if (isName) return { value: text };
  return { expected: "a file name of 1 to 128 letters, digits, . _ -, not starting with .." };
}
