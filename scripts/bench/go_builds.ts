import { fileURLToPath } from "node:url";

/** A program that is there to be run, or why it is not. */
export type Built =
  | { readonly kind: "built"; readonly path: string }
  | { readonly kind: "missing"; readonly reason: string };

const stepCa = { module: "github.com/smallstep/certificates", version: "v0.30.2" };
const signerFolder = fileURLToPath(new URL("go_signer/", import.meta.url));

/** step-ca of the pinned version. */
export async function buildStepCa(): Promise<Built> {
  const { module, version } = stepCa;
  return await build(`step-ca-${version}-${Deno.build.arch}`, "step-ca", (folder) => ({
    args: ["install", `${module}/cmd/step-ca@${version}`],
    env: { GOBIN: folder, GOFLAGS: "" },
  }));
}

/** The program of go_signer/. */
export async function buildGoSigner(): Promise<Built> {
  const sources = ["go.mod", "go.sum", "main.go"];
  return await buildGoProgram({
    folder: signerFolder,
    sources,
    program: "go-signer",
    package: ".",
  });
}

/** A program whose module is pinned by the go.mod of a folder of ours. */
export async function buildGoProgram(options: {
  /** With a slash at its end. */
  readonly folder: string;
  /** Its files, which name the build in the cache. */
  readonly sources: readonly string[];
  readonly program: string;
  readonly package: string;
}): Promise<Built> {
  const { folder: cwd, sources, program } = options;
  const texts = await Promise.all(sources.map((name) => Deno.readFile(cwd + name)));
  const bytes = await new Blob(texts).arrayBuffer();
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
  const name = `${program}-${digest.slice(0, 12)}-${Deno.build.arch}`;
  const flags = ["-mod=readonly", "-buildvcs=false", "-trimpath"];
  return await build(name, program, (folder) => ({
    args: ["build", ...flags, "-o", `${folder}/${program}`, options.package],
    cwd,
  }));
}

/** Builds into a folder of the user's cache, whole or not at all, unless it is there. */
async function build(
  name: string,
  program: string,
  command: (folder: string) => Deno.CommandOptions,
): Promise<Built> {
  const home = Deno.env.get("XDG_CACHE_HOME") || `${Deno.env.get("HOME") || "/root"}/.cache`;
  const folder = `${home}/csi-cert-driver/${name}`;
  const path = `${folder}/${program}`;
  if (await exists(path)) return { kind: "built", path };
  const go = await findGo();
  if (go === undefined) return { kind: "missing", reason: "it is built with Go, which is absent" };
  console.error(`  building ${name}, once`);
  const half = `${folder}.building`;
  await Deno.mkdir(half, { recursive: true });
  const { args = [], env, ...options } = command(half);
  const { success, stderr } = await new Deno.Command(go, {
    ...options,
    args,
    env: { CGO_ENABLED: "0", ...env },
    stdin: "null",
  }).output();
  if (!success) {
    const reason = new TextDecoder().decode(stderr).trim().split("\n").at(-1);
    return { kind: "missing", reason: `it could not be built: ${reason}` };
  }
  await Deno.rename(half, folder);
  return { kind: "built", path };
}

async function findGo(): Promise<string | undefined> {
  for (const folder of [...(Deno.env.get("PATH") ?? "").split(":"), "/usr/local/go/bin"]) {
    if (await exists(`${folder}/go`)) return `${folder}/go`;
  }
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
