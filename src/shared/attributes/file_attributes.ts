import {
  type AttributeTexts,
  readAttribute,
  type ReadResult,
  type ReportProblem,
} from "./attribute_reader.ts";
import type { VolumeAttributes } from "./volume_attributes.ts";

/** NAME_MAX of Linux's file systems. */
const longestNameBytes = 255;
const defaultNames = {
  certificateFile: "tls.crt",
  privateKeyFile: "tls.key",
  caFile: "ca.crt",
};

/** `file-mode`, `certificate-file`, `privatekey-file` and `ca-file`. */
export function readFileAttributes(
  values: AttributeTexts,
  report: ReportProblem,
): Pick<VolumeAttributes, "fileMode" | "certificateFile" | "privateKeyFile" | "caFile"> {
  const fileMode = readAttribute(values, "file-mode", report, readMode);
  const readName = (attribute: string) => readAttribute(values, attribute, report, readFileName);
  const certificateFile = readName("certificate-file") ?? defaultNames.certificateFile;
  const privateKeyFile = readName("privatekey-file") ?? defaultNames.privateKeyFile;
  const caFile = readName("ca-file") ?? defaultNames.caFile;
  const names = [
    ["certificate-file", certificateFile],
    ["privatekey-file", privateKeyFile],
    ["ca-file", caFile],
  ] as const;
  let hasTwins = false;
  for (const [attribute, name] of names) {
    const twin = names.find(([other, same]) => other !== attribute && same === name);
    if (twin && values.get(attribute) !== undefined) {
      hasTwins = true;
      report(attribute, name, `a name other than that of ${twin[0]}`);
    }
  }
  // Two texts in one file would make the volume look damaged, and be issued again and again.
  return hasTwins
    ? { fileMode, ...defaultNames }
    : { fileMode, certificateFile, privateKeyFile, caFile };
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
  return {
    expected: "a file name of 1 to 128 letters, digits, . _ -, not starting with ..",
    // The pod reads the file by this name.
    substitute: isSafeName(text) ? text : undefined,
  };
}

/** Whether a file of this printable name is in the volume's own directory, and is none of the driver's own there. */
function isSafeName(text: string): boolean {
  return !text.includes("/") && text !== "." && !text.startsWith("..") &&
    new TextEncoder().encode(text).length <= longestNameBytes;
}
