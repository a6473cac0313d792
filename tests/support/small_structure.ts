/** A small repository without a structural problem, from which tests make unsound ones. */
import { readSource, type SourceFile } from "./source_file.ts";
import type { Structure } from "./structure.ts";

/** The small tree with one file changed, and the problem that a rule has to find in it. */
export interface BadTree {
  readonly what: string;
  readonly path: string;
  /** Undefined where the file is missing. */
  readonly text: string | undefined;
  readonly problem: RegExp;
}

export const smallStructure: Structure = {
  folders: {
    "shared/text": { purpose: "", mainFile: "names.ts", mayImport: {} },
    "shared/scheduler": { purpose: "", mainFile: "scheduler.ts", mayImport: {} },
    "shared/gen": { purpose: "", mayImport: {} },
    "driver/volume": {
      purpose: "",
      mainFile: "publisher.ts",
      mayImport: { shared: ["text", "scheduler", "gen"] },
    },
    "driver/program": { purpose: "", mainFile: "serve.ts", mayImport: { driver: ["volume"] } },
    "service/ca": { purpose: "", mainFile: "ca.ts", mayImport: { shared: ["text"] } },
    "service/kubernetes": { purpose: "", mainFile: "cluster.ts", mayImport: { service: ["ca"] } },
    "service/program": {
      purpose: "",
      mainFile: "serve.ts",
      mayImport: { shared: ["scheduler"], service: ["ca", "kubernetes"] },
    },
  },
  generated: "shared/gen",
  loadedOnDemand: "service/kubernetes",
  entries: {
    "src/csi_driver.ts": {
      program: "driver/program",
      mustNotReach: ["src/service/", "@kubernetes/client-node"],
    },
    "src/cert_service.ts": {
      program: "service/program",
      mustNotReach: ["src/driver/"],
      firstImport: { path: "src/service/ca/early.ts", reason: "which takes time" },
    },
  },
  entryImports: ["shared/text"],
  packages: {
    "@kubernetes/client-node": ["service/kubernetes"],
    "@logtape/logtape": ["driver/volume"],
    "fast-check": [],
  },
  pure: ["shared/text"],
  takesClock: ["shared/scheduler", "driver/volume"],
  clockExceptions: { "src/shared/scheduler/system_clock.ts": "is the system's Clock" },
  usesDeno: ["service/kubernetes"],
  usedByOneProgram: { "src/csi_driver.ts": ["src/shared/gen/csi_pb.ts"] },
};

const soundTexts: Readonly<Record<string, string>> = {
  "src/csi_driver.ts": `
    import "../deno.json" with { type: "json" };
    import { serve } from "./driver/program/serve.ts";
    serve();`,
  "src/cert_service.ts": `
    import "./service/ca/early.ts";
    import { serve } from "./service/program/serve.ts";
    serve();`,
  "src/shared/text/names.ts": `/** Names. Never reads a file. */

    export const a = 1;`,
  "src/shared/scheduler/scheduler.ts": `/** Jobs. It never knows what a job does. */

    import "./system_clock.ts";`,
  "src/shared/scheduler/system_clock.ts": `export const sleep = () => setTimeout(() => {}, 1);`,
  "src/shared/gen/csi_pb.ts": `export const file = 1;`,
  "src/driver/volume/publisher.ts": `// Volumes.
// They must never name Deno.

    import "@logtape/logtape";
    import "../../shared/text/names.ts";
    import "../../shared/scheduler/scheduler.ts";
    import "../../shared/gen/csi_pb.ts";`,
  "src/driver/program/serve.ts": `/** The driver. Never decides. */

    import "../volume/publisher.ts";
    export function serve() {}`,
  "src/service/ca/early.ts": `export const early = 1;`,
  "src/service/ca/ca.ts": `/** The CA. Never signs a leaf. */

    import "../../shared/text/names.ts";`,
  "src/service/kubernetes/cluster.ts": `/** The cluster. Never quotes a token. */

    import "@kubernetes/client-node";
    import type { A } from "../ca/ca.ts";
    export const a = (): A => Deno.cwd();`,
  "src/service/program/serve.ts": `/** The service. Never decides. */

    import "../ca/ca.ts";
    import "../../shared/scheduler/scheduler.ts";
    import type { A } from "../kubernetes/cluster.ts";
    export const serve = async () => await import("../kubernetes/cluster.ts");`,
};

/** The sound files, with one of them replaced, added, or removed where the text is undefined. */
export function smallTree(path: string, text: string | undefined): SourceFile[] {
  const entries = Object.entries({ ...soundTexts, [path]: text });
  return entries.flatMap(([path, text]) => text === undefined ? [] : [readSource(path, text)]);
}
