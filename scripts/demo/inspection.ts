import type { PodVolume } from "../support/kubelet.ts";
import { readCertificates } from "../../src/shared/x509/certificate.ts";
import { verifyChain } from "../../src/shared/x509/chain.ts";

/** The files of a volume as `ls -l` would show them. */
export async function listFiles(directory: string): Promise<string[][]> {
  const rows = [];
  for await (const { name } of Deno.readDir(directory)) {
    const { mode, isSymlink } = await Deno.lstat(`${directory}/${name}`);
    const target = isSymlink ? ` -> ${await Deno.readLink(`${directory}/${name}`)}` : "";
    const inside = isSymlink && name !== "..data"
      ? await Deno.stat(`${directory}/${name}`)
      : undefined;
    const size = inside ? `, ${inside.size} bytes` : "";
    rows.push([
      ((inside?.mode ?? mode ?? 0) & 0o7777).toString(8).padStart(4, "0"),
      name + target + size,
    ]);
  }
  return rows.sort(([, left], [, right]) => (left ?? "").localeCompare(right ?? ""));
}

/** Tries what a hostile container would; returns what was refused, throws when something was not. */
export async function attackFromPod(directory: string): Promise<string[]> {
  const attempts: [string, () => Promise<unknown>][] = [
    ["writing a file", () => Deno.writeTextFile(`${directory}/evil`, "x")],
    ["changing the key", () => Deno.writeTextFile(`${directory}/tls.key`, "x")],
    ["relinking ..data", () => Deno.rename(`${directory}/..data`, `${directory}/..old`)],
    ["removing the certificate", () => Deno.remove(`${directory}/tls.crt`)],
    ["chmod", () => Deno.chmod(directory, 0o777)],
  ];
  for (const [what, attempt] of attempts) {
    try {
      await attempt();
    } catch (error) {
      if (/read-only/i.test(String(error))) continue;
      throw error;
    }
    throw new Error(`${what} in ${directory} was not refused`);
  }
  return attempts.map(([what]) => what);
}

/** Verifies every volume's certificate by the CA: with openssl where it is available, else with our own check. */
export async function verifyFiles(
  volumes: readonly PodVolume[],
  caFile: string,
): Promise<string[]> {
  if (await hasOpenssl()) {
    for (const { targetPath } of volumes) {
      await openssl(["verify", "-x509_strict", "-CAfile", caFile, `${targetPath}/tls.crt`]);
      const [inCertificate, inKey] = await Promise.all([
        openssl(["x509", "-in", `${targetPath}/tls.crt`, "-noout", "-pubkey"]),
        openssl(["pkey", "-in", `${targetPath}/tls.key`, "-pubout"]),
      ]);
      if (inCertificate !== inKey) throw new Error(`${targetPath}: the key does not fit`);
    }
    const ledger = volumes.find(({ pod }) => pod.name === "ledger");
    const fields = ["-subject", "-ext", "subjectAltName,extendedKeyUsage"];
    const text = ledger
      ? await openssl(["x509", "-in", `${ledger.targetPath}/tls.crt`, "-noout", ...fields])
      : "";
    return [
      `openssl verify -x509_strict: ${volumes.length} of ${volumes.length} certificates OK, each with its key`,
      `openssl x509 of ${ledger?.pod.name}: ${
        text.trim().split("\n").map((line) => line.trim()).join(" | ")
      }`,
    ];
  }
  const anchors = readCertificates(await Deno.readTextFile(caFile)) ?? [];
  for (const { targetPath } of volumes) {
    const chain = readCertificates(await Deno.readTextFile(`${targetPath}/tls.crt`)) ?? [];
    const verdict = await verifyChain(chain, anchors, Temporal.Now.instant());
    if (verdict.kind === "refused") throw new Error(`${targetPath}: ${verdict.problem}`);
  }
  return [
    `${volumes.length} certificates verify against the CA (openssl is not available: our own check)`,
  ];
}

async function hasOpenssl(): Promise<boolean> {
  try {
    return (await new Deno.Command("openssl", { args: ["version"], stdout: "null" }).output())
      .success;
  } catch {
    return false;
  }
}

async function openssl(args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("openssl", { args }).output();
  const text = new TextDecoder().decode(stdout);
  if (!success) {
    throw new Error(`openssl ${args.join(" ")}: ${text}${new TextDecoder().decode(stderr)}`);
  }
  return text;
}
