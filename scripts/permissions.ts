// The permissions each program ships with, and V8's flags. The demo, the tests and the compiled
// binaries take them from here. `deno run scripts/permissions.ts` prints them with their reasons.

import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { libcPaths } from "../src/shared/linux/libc.ts";
import { libcryptoPaths } from "../src/service/openssl/libcrypto.ts";

export type ProgramName = "csi-driver" | "cert-service";
/** `source`: the TypeScript; `bundle`: the minified file that the compiled binary holds. */
export type Form = "source" | "bundle";

interface Flag {
  readonly flag: string;
  readonly reason: string;
}

/** What `deno compile` and `deno run` offer for each program: the least that it works with. */
export const permissions: Readonly<Record<ProgramName, readonly Flag[]>> = {
  "csi-driver": [
    { flag: "--allow-env", reason: "configuration; the gRPC library reads variables of its own" },
    { flag: "--allow-net", reason: "CSI and registration sockets, the service, health checks" },
    { flag: "--allow-read", reason: "volumes, at the paths that the kubelet gives; TLS files" },
    { flag: "--allow-write", reason: "volumes, as for reading; records and sockets" },
    {
      flag: `--allow-ffi=${libcPaths.join(",")}`,
      reason: "the C library: mounting, mountinfo (closed to Deno's own calls), no core dumps",
    },
    {
      flag: "--allow-sys=hostname,statfs",
      reason: "the default of NODE_ID; whether a plain directory is in memory",
    },
  ],
  "cert-service": [
    { flag: "--allow-env", reason: "configuration; the gRPC library reads variables of its own" },
    { flag: "--allow-net", reason: "its ports, health checks, the Kubernetes API" },
    { flag: "--allow-read", reason: "CA and TLS files, the service account's token" },
    { flag: "--allow-write", reason: "the administrator's socket; init-ca --out DIR" },
    {
      flag: `--allow-ffi=${[...libcPaths, ...libcryptoPaths].join(",")}`,
      reason:
        "the C library: no core dumps; OpenSSL's signatures, five times as fast as WebCrypto's",
    },
  ],
};

/**
 * V8's flags, the same in each form of a program.
 *
 * The driver runs on every node and has little to do there, so memory counts more than the last
 * fifth of speed. The service signs thousands of times a second: V8's defaults suit it.
 */
export const engineFlags: Readonly<Record<ProgramName, readonly Flag[]>> = {
  "csi-driver": [
    {
      flag: "--optimize-for-size",
      reason: "collects garbage early; without it the driver grew to 80 MiB",
    },
    {
      flag: "--no-turbofan",
      reason: "no optimizing compiler; saves 5 MiB together with --no-maglev",
    },
    { flag: "--no-maglev", reason: "as --no-turbofan; a volume takes 1 ms more of CPU time" },
  ],
  "cert-service": [],
};

/** A bundle holds all it needs: it reads no configuration and loads nothing more. */
export const bundleFlags = [
  "--no-config",
  "--no-lock",
  "--no-npm",
  "--no-remote",
  "--cached-only",
] as const;

/** Never prompts: a permission that was not given is refused. */
const always = ["--no-prompt"] as const;

const sources = { "csi-driver": "src/csi_driver.ts", "cert-service": "src/cert_service.ts" };

/** A folder for the bundles in place of dist/, for tasks that run beside others that bundle. */
export const bundleFolderVariable = "BUNDLE_FOLDER";

/** Absolute path of a program's file. */
export function entryOf(name: ProgramName, form: Form): string {
  const root = new URL("../", import.meta.url);
  if (form === "source") return fileURLToPath(new URL(sources[name], root));
  const folder = Deno.env.get(bundleFolderVariable) || fileURLToPath(new URL("dist", root));
  return resolve(folder, `${name}.js`);
}

/** The flags a program runs with, and a compiled binary is packed with. */
export function programFlags(name: ProgramName): string[] {
  const engine = engineFlags[name].map(({ flag }) => flag);
  return [
    ...always,
    ...engine.length > 0 ? [`--v8-flags=${engine.join(",")}`] : [],
    ...permissions[name].map(({ flag }) => flag),
  ];
}

/** Arguments for `deno` that run a program as it is shipped; the program's own follow. */
export function programArguments(name: ProgramName, form: Form): string[] {
  const loading = form === "bundle" ? bundleFlags : [];
  return ["run", "--quiet", ...loading, ...programFlags(name), entryOf(name, form)];
}

if (import.meta.main) {
  for (const [name, list] of Object.entries(permissions)) {
    console.log(name);
    for (const { flag, reason } of [...list, ...engineFlags[name as ProgramName]]) {
      console.log(`  ${flag}\n      ${reason}`);
    }
  }
}
