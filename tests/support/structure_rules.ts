import { posix } from "node:path";
import type { SourceFile } from "./source_file.ts";

/** The architecture: which folder of src may import which others. A folder may import itself. */
export const mayImport: Readonly<Record<string, readonly string[]>> = {
  x509: [],
  scheduler: [],
  gen: [],
  grpc: ["gen"],
  volume: ["x509", "scheduler"],
  authority: ["x509", "scheduler"],
  csi: ["volume", "grpc", "gen"],
  issuance: ["volume", "authority", "x509", "grpc", "gen"],
  linux: ["volume", "x509"],
  kubernetes: ["authority", "x509", "scheduler"],
  telemetry: ["scheduler"],
  config: ["x509"],
};

/** Packages that belong to some folders only, by the beginning of their names; "" is an entry. */
const packageHomes: readonly { package: string; folders: readonly string[] }[] = [
  { package: "@grpc/grpc-js", folders: ["grpc", "csi", "issuance", ""] },
  { package: "@bufbuild/protobuf", folders: ["grpc", "gen", "csi", "issuance"] },
  { package: "@kubernetes/client-node", folders: ["kubernetes"] },
  // For scripts and tests only.
  { package: "esbuild", folders: [] },
  { package: "fast-check", folders: [] },
  { package: "@peculiar/webcrypto", folders: [] },
  { package: "@peculiar/x509", folders: ["x509"] },
  { package: "reflect-metadata", folders: ["x509"] },
];

/** The two programs and what must stay out of each: the other one's domain and its weight. */
const entries: Readonly<Record<string, readonly string[]>> = {
  "src/csi_driver.ts": [
    "@peculiar/x509",
    "src/authority/",
    "src/kubernetes/",
    "@kubernetes/client-node",
  ],
  "src/cert_service.ts": ["src/volume/", "src/csi/", "src/linux/mounter.ts"],
};

/** x509 computes: of Node it may have cryptography and parsing, nothing that reaches outside. */
const pureNodeModules = ["node:crypto", "node:buffer", "node:net"];
/** These take a Clock and never look at one themselves. */
const withoutClock = ["x509", "scheduler", "volume", "authority"];
const clockGlobals = ["Temporal.Now", "Date.now", "new Date()", "setTimeout", "setInterval"];
const theClock = "src/scheduler/system_clock.ts";

const longest = 250;

/** Everything about src that the architecture forbids, a sentence each; none when all is well. */
export function structureProblems(files: readonly SourceFile[], packages: readonly string[]) {
  const source = files.filter(({ path }) => path.startsWith("src/"));
  return [
    ...source.flatMap((file) => placeProblems(file)),
    ...source.flatMap((file) => formProblems(file)),
    ...source.flatMap((file) => purityProblems(file)),
    ...source.flatMap((file) => importProblems(file, packages)),
    ...Object.keys(entries).flatMap((entry) => entryProblems(entry, source)),
  ];
}

/** The folder below src, or undefined for a file in src itself. */
function folderOf(path: string): string | undefined {
  const [, folder, rest] = path.split("/");
  return rest === undefined ? undefined : folder;
}

function placeProblems({ path }: SourceFile): string[] {
  const folder = folderOf(path);
  if (folder === undefined) {
    return path in entries ? [] : [`${path}: only the two entries lie in src itself`];
  }
  return folder in mayImport ? [] : [`${path}: src/${folder} is not in the import table`];
}

function formProblems(file: SourceFile): string[] {
  const { path, lines, opaqueImports } = file;
  if (folderOf(path) === "gen") return [];
  const problems: string[] = [];
  if (lines > longest) problems.push(`${path}: ${lines} lines, more than ${longest}`);
  if (file.exportsAll) problems.push(`${path}: "export * from" hides where a name comes from`);
  if (file.onlyReexports || /\/(mod|index)\.ts$/.test(path)) {
    problems.push(`${path}: a barrel; import from the file that declares the name`);
  }
  if (opaqueImports > 0) problems.push(`${path}: a dynamic import of something computed`);
  return problems;
}

function purityProblems({ path, globals, imports }: SourceFile): string[] {
  const folder = folderOf(path) ?? "";
  const problems: string[] = [];
  if (folder === "x509") {
    for (const name of globals) problems.push(`${path}: x509 is pure and may not use ${name}`);
    for (const specifier of imports) {
      if (specifier.startsWith("node:") && !pureNodeModules.includes(specifier)) {
        problems.push(`${path}: x509 is pure and may not import ${specifier}`);
      }
    }
  } else if (withoutClock.includes(folder) && path !== theClock) {
    for (const name of clockGlobals.filter((name) => globals.has(name))) {
      problems.push(`${path}: takes its time from a Clock, not from ${name}`);
    }
  }
  return problems;
}

function importProblems(file: SourceFile, packages: readonly string[]): string[] {
  return file.imports.flatMap((specifier) => {
    const problem = specifier.startsWith(".")
      ? relativeProblem(file.path, specifier)
      : packageProblem(file.path, specifier, packages);
    return problem === undefined ? [] : [`${file.path}: ${problem}`];
  });
}

function relativeProblem(path: string, specifier: string): string | undefined {
  const from = folderOf(path);
  const target = resolve(path, specifier);
  if (!target.startsWith("src/")) {
    const isSettings = target === "deno.json" && from === undefined;
    return isSettings ? undefined : `imports ${target}, which lies outside src`;
  }
  const to = folderOf(target);
  if (to === undefined) return `imports the entry ${target}; nobody imports an entry`;
  if (from === undefined || from === to || mayImport[from]?.includes(to)) return undefined;
  return `src/${from} may not import src/${to} (${specifier})`;
}

function packageProblem(
  path: string,
  specifier: string,
  packages: readonly string[],
): string | undefined {
  if (specifier.startsWith("node:")) return undefined;
  if (!packages.some((name) => specifier === name || specifier.startsWith(`${name}/`))) {
    return `imports "${specifier}", which is no name of deno.json's imports`;
  }
  const home = packageHomes.find((entry) => specifier.startsWith(entry.package));
  const folder = folderOf(path) ?? "";
  if (home === undefined || home.folders.includes(folder)) return undefined;
  return `imports ${specifier}, which only ${home.folders.join(", ") || "scripts and tests"} may`;
}

function entryProblems(entry: string, source: readonly SourceFile[]): string[] {
  const reached = reachedFrom(entry, source);
  if (reached === undefined) return [`${entry}: is missing`];
  return (entries[entry] ?? []).flatMap((unwanted) => {
    const first = [...reached].find((name) => name.startsWith(unwanted));
    return first === undefined ? [] : [`${entry}: its import graph reaches ${first}`];
  });
}

/** Paths of files and names of packages that a file's imports lead to. */
function reachedFrom(entry: string, source: readonly SourceFile[]): Set<string> | undefined {
  const byPath = new Map(source.map((file) => [file.path, file]));
  if (!byPath.has(entry)) return undefined;
  const reached = new Set([entry]);
  // A Set's iteration also visits what is added while it runs.
  for (const path of reached) {
    for (const specifier of byPath.get(path)?.imports ?? []) {
      reached.add(specifier.startsWith(".") ? resolve(path, specifier) : specifier);
    }
  }
  return reached;
}

function resolve(path: string, specifier: string): string {
  return posix.join(posix.dirname(path), specifier);
}
