import { parseArgs } from "node:util";
import { decodePemBytes } from "../../shared/crypto/pem.ts";
import { type Certificate, readCertificates } from "../../shared/x509/certificate.ts";
import { namesRejectionReason, type NecessaryNames } from "../x509/ca_names.ts";
import { clusterCaRejectionReason } from "../x509/related_ca.ts";
import { examineCa, type ExaminedCa, loadIssuer } from "../x509/issuer.ts";
import { type CaTexts, readCaFiles } from "./ca_files.ts";
import { type CommandResult, refused } from "./command_result.ts";

/** What `check-ca` needs of the machine and of the service's configuration. */
export interface CheckCaEnvironment {
  readonly now: Temporal.Instant;
  readonly names: NecessaryNames;
  /** Reads a file, or the standard input for "-". */
  readonly read: (path: string) => Promise<Uint8Array>;
}

/** `check-ca`: whether the service would sign with a CA, and why not; exit code 1 when it would not. */
export async function checkCa(
  args: string[],
  { now, names, read }: CheckCaEnvironment,
): Promise<CommandResult> {
  const { values, positionals } = parseArgs({
    args,
    options: { "cluster-ca": { type: "string" } },
    allowPositionals: true,
  });
  if (positionals.length === 0) {
    return refused("expected one or more files, or - for standard input");
  }
  const clusterCaFile = values["cluster-ca"];
  if ([...positionals, clusterCaFile].filter((name) => name === "-").length > 1) {
    return refused("- is given twice; standard input can be read once");
  }
  const files = [];
  for (const name of positionals) files.push({ name, bytes: await read(name) });
  const clusterCas = clusterCaFile === undefined
    ? []
    : readCertificates(decodePemBytes(await read(clusterCaFile))) ?? [];
  if (clusterCaFile !== undefined && clusterCas.length === 0) {
    return refused(`--cluster-ca ${clusterCaFile}: it contains no certificate that can be read`);
  }
  const texts = readCaFiles(files);
  if (texts.kind === "refused") return unfit(texts.problem);
  const examined = await examineTexts(texts, now);
  if (examined.kind === "refused") return unfit(examined.problem);
  const path = { chain: [examined.certificate, ...examined.chain], roots: examined.roots };
  const problem = namesRejectionReason(path, names) ??
    await clusterCaRejectionReason(path, clusterCas, now);
  if (problem !== undefined) return unfit(problem);
  return { kind: "done", exitCode: 0, output: describeCa(examined, texts) };
}

/** Also verifies that the key belongs to the certificate, where a key was given. */
async function examineTexts(
  { certificatePem, privateKeyPem }: CaTexts,
  now: Temporal.Instant,
): Promise<ExaminedCa | { readonly kind: "refused"; readonly problem: string }> {
  if (privateKeyPem !== "" && certificatePem !== "") {
    const loaded = await loadIssuer(certificatePem, privateKeyPem, now);
    if (loaded.kind === "refused") return loaded;
  }
  return await examineCa(certificatePem, now);
}

function unfit(problem: string): CommandResult {
  return { kind: "done", exitCode: 1, output: `the CA cannot be used: ${problem}\n` };
}

function describeCa(
  { certificate, chain, roots, anchors, warnings }: ExaminedCa,
  { privateKeyPem }: CaTexts,
): string {
  const further = anchors.filter((anchor) => !roots.includes(anchor));
  const line = (title: string, value: string) => `  ${title.padEnd(14)}${value}\n`;
  const names = (certificates: readonly Certificate[]) =>
    certificates.map(({ subject }) => subject).join("; ");
  return [
    `the CA can be used: ${certificate.subject}\n`,
    line("valid until", String(certificate.notAfter)),
    ...(chain.length > 1 ? [line("below", names(chain.slice(1)))] : []),
    line("root", names(roots) || "none given"),
    ...(further.length > 0 ? [line("also trusted", names(further))] : []),
    line("key", privateKeyPem === "" ? "not given, not checked" : "belongs to the certificate"),
    ...warnings.map((warning) => `warning: ${warning}\n`),
  ].join("");
}
