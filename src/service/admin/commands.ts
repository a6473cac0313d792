/**
 * This folder contains the administrator's commands: `list`, `nodes`, `get` and `revoke`, which call a
 * running service over its local socket, and `init-ca`, `check-ca` and `check-policy`, which need none. Its main
 * functions are `initCa`, `checkCa`, `checkPolicyFile`, `listCommand`, `getCommand` and `revokeCommand`; its
 * main type is `CommandResult`. It must never load certificate code for a command that calls a
 * service, because that command runs in the service's container and counts against its memory limit.
 */

import { join } from "node:path";
import { parseArgs } from "node:util";
import { caManifest } from "./ca_manifest.ts";
import { checkPolicy, parsePodArguments } from "./check_policy.ts";
import { type CommandResult, refused } from "./command_result.ts";
import type { Policy } from "../policy/policy.ts";
import { createCa, type InitCaOptions, type NewCa, parseInitCaOptions } from "./init_ca.ts";

/** What `init-ca` needs of the machine. */
export interface InitCaEnvironment {
  readonly now: Temporal.Instant;
  readonly write: (folder: string, ca: NewCa) => Promise<void>;
  /** Reads a file, or the standard input for "-". */
  readonly read: (path: string) => Promise<string>;
}

/** `init-ca`: makes a CA, and writes it to files or returns it as a manifest. */
export async function initCa(
  args: string[],
  { now, write, read }: InitCaEnvironment,
): Promise<CommandResult> {
  const { values } = parseArgs({
    args,
    options: {
      key: { type: "string" },
      days: { type: "string" },
      subject: { type: "string" },
      out: { type: "string" },
      kubernetes: { type: "boolean", default: false },
      rotate: { type: "string" },
    },
  });
  const parsed = parseInitCaOptions(values);
  if (parsed.kind === "refused") return parsed;
  const forms = [values.out !== undefined, values.kubernetes, values.rotate !== undefined];
  if (forms.filter((isGiven) => isGiven).length !== 1) {
    return refused("expected one of --out DIR, --kubernetes and --rotate FILE");
  }
  if (values.rotate !== undefined) {
    return await rotateCa(values.rotate, await read(values.rotate), parsed.options, now);
  }
  const ca = await createCa(parsed.options, now);
  if (values.out === undefined) {
    return { kind: "done", exitCode: 0, output: caManifest(ca) };
  }
  await write(values.out, ca);
  return {
    kind: "done",
    exitCode: 0,
    output: `wrote ${join(values.out, "tls.crt")} and tls.key (mode 0600)\n`,
  };
}

/** The Secret with a new CA, and the one of the given Secret as the former CA. */
async function rotateCa(
  path: string,
  text: string,
  options: InitCaOptions,
  now: Temporal.Instant,
): Promise<CommandResult> {
  const { readCurrentSecret, rotatedSecret, rotationProblem } = await import(
    "./rotated_secret.ts"
  );
  const { loadIssuer } = await import("../x509/issuer.ts");
  const refusal = (problem: string) => refused(`--rotate ${path}: ${problem}`);
  const current = readCurrentSecret(text);
  if (current.kind === "refused") return refusal(current.problem);
  const { secret } = current;
  const problem = rotationProblem(secret);
  if (problem !== undefined) return refusal(problem);
  const pem = `${secret.certificatePem}\n${secret.furtherAnchorsPem ?? ""}`;
  const loaded = await loadIssuer(pem, secret.privateKeyPem, now);
  if (loaded.kind === "refused") {
    return refusal(`the present CA cannot sign until the new one does: ${loaded.problem}`);
  }
  return {
    kind: "done",
    exitCode: 0,
    output: rotatedSecret(secret, await createCa(options, now)),
  };
}

/** `check-policy`: prints what a policy file grants a pod; exit code 1 when the pod is denied. */
export async function checkPolicyFile(
  args: string[],
  base: Omit<Policy, "rules">,
  read: (path: string) => Promise<string>,
): Promise<CommandResult> {
  const { values, positionals } = parseArgs({
    args,
    options: {
      pod: { type: "string" },
      "service-account": { type: "string" },
      attribute: { type: "string", multiple: true, default: [] },
      label: { type: "string", multiple: true, default: [] },
      annotation: { type: "string", multiple: true, default: [] },
    },
    allowPositionals: true,
  });
  const [path, ...others] = positionals;
  if (path === undefined || others.length > 0) return refused("expected one policy file");
  const parsed = parsePodArguments({
    pod: values.pod,
    serviceAccount: values["service-account"],
    attributes: values.attribute,
    labels: values.label,
    annotations: values.annotation,
  });
  if (parsed.kind === "refused") return parsed;
  const checked = checkPolicy(await read(path), base, parsed.pod);
  if (checked.kind === "refused") {
    return { kind: "refused", problems: checked.problems.map((problem) => `${path}: ${problem}`) };
  }
  const exitCode = checked.kind === "granted" ? 0 : 1;
  return { kind: "done", exitCode, output: `${checked.text}\n` };
}
