import { join } from "node:path";

/** A certificate that the openssl command makes; by default a proper CA's, on a P-256 key. */
export interface OpensslCa {
  /** Names its files. */
  readonly name: string;
  /** Absent: signed by itself. */
  readonly issuer?: OpensslCa;
  /** Extensions that replace or follow the default ones; an empty value leaves one out. */
  readonly extensions?: Readonly<Record<string, string>>;
  /** "/CN=name" by default. */
  readonly subject?: string;
  /** Arguments of `openssl genpkey`. */
  readonly key?: readonly string[];
  readonly serial?: string;
  readonly digest?: string;
  /** Days from now; 10 by default. */
  readonly days?: number;
  /** The CA whose key it has. */
  readonly keyOf?: OpensslCa;
}

const properExtensions = {
  basicConstraints: "critical,CA:TRUE",
  keyUsage: "critical,keyCertSign,cRLSign",
  subjectKeyIdentifier: "hash",
};

const p256 = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];

/** Runs the openssl command in a folder, and returns whether it succeeded and what it printed. */
export async function openssl(folder: string, ...args: string[]) {
  const command = new Deno.Command("openssl", { args, cwd: folder, stdin: "null" });
  const { success, stdout, stderr } = await command.output();
  const decoder = new TextDecoder();
  return { success, output: decoder.decode(stdout) + decoder.decode(stderr) };
}

/** Makes NAME.key and NAME.crt in the folder, and those of its issuers where they do not exist. */
export async function makeCertificate(folder: string, ca: OpensslCa): Promise<void> {
  const { name, issuer, keyOf, subject = `/CN=${name}`, digest = "sha256", days = 10 } = ca;
  if (await exists(join(folder, `${name}.crt`))) return;
  for (const other of [issuer, keyOf]) if (other) await makeCertificate(folder, other);
  const run = async (...args: string[]) => {
    const { success, output } = await openssl(folder, ...args);
    if (!success) throw new Error(`openssl ${args.join(" ")}: ${output}`);
  };
  if (keyOf) await Deno.copyFile(join(folder, `${keyOf.name}.key`), join(folder, `${name}.key`));
  else await run("genpkey", ...ca.key ?? p256, "-out", `${name}.key`);
  const aki = issuer ? { authorityKeyIdentifier: "keyid" } : {};
  const all = { ...properExtensions, ...aki, ...ca.extensions };
  const lines = Object.entries(all).filter(([key, value]) => value !== "" && !key.startsWith("["))
    .map(([key, value]) => `${key} = ${value}`);
  const sections = Object.entries(all).filter(([key]) => key.startsWith("["))
    .map(([key, value]) => `${key}\n${value}`);
  const config = ["[req]", "distinguished_name = dn", "[dn]", "[ext]", ...lines, ...sections];
  await Deno.writeTextFile(join(folder, `${name}.cnf`), config.join("\n") + "\n");
  const common = ["-days", `${days}`, `-${digest}`, "-set_serial", ca.serial ?? serialOf(name)];
  await run(
    "req",
    "-new",
    "-key",
    `${name}.key`,
    "-subj",
    subject,
    "-config",
    `${name}.cnf`,
    "-out",
    `${name}.csr`,
  );
  const signer = issuer
    ? ["-CA", `${issuer.name}.crt`, "-CAkey", `${issuer.name}.key`]
    : ["-signkey", `${name}.key`];
  await run(
    "x509",
    "-req",
    "-in",
    `${name}.csr`,
    ...signer,
    "-extfile",
    `${name}.cnf`,
    "-extensions",
    "ext",
    ...common,
    "-out",
    `${name}.crt`,
  );
}

function serialOf(name: string): string {
  return `0x1${new TextEncoder().encode(name).toHex().slice(0, 30)}`;
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
