import { join } from "node:path";
import { TestEnvironment } from "../demo/test_environment.ts";

const module = "github.com/kubernetes-csi/csi-test/v5/cmd/csi-sanity";
const version = "v5.6.0";

/** Skips specs that need a controller; the report's skipped specs are compared with the expected list. */
const skip = String.raw`\[Controller Server\]|NodeUnpublishVolume should remove target path`;

type Program =
  | { readonly kind: "installed"; readonly path: string }
  | { readonly kind: "missing"; readonly reason: string };

/** csi-sanity of the pinned version, built once into the user's cache. */
export async function installCsiSanity(log: (text: string) => void): Promise<Program> {
  const cache = Deno.env.get("XDG_CACHE_HOME") ?? join(Deno.env.get("HOME") ?? "/tmp", ".cache");
  const folder = join(cache, "csi-cert-driver", `csi-sanity-${version}`);
  const path = join(folder, "csi-sanity");
  if (await exists(path)) return { kind: "installed", path };
  log(`building csi-sanity ${version} into ${folder}`);
  try {
    const { success, stderr } = await new Deno.Command("go", {
      args: ["install", `${module}@${version}`],
      env: { GOBIN: folder, GOFLAGS: "-mod=mod" },
      stdin: "null",
    }).output();
    if (success) return { kind: "installed", path };
    const reason = new TextDecoder().decode(stderr).trim().split("\n").at(-1);
    return { kind: "missing", reason: `csi-sanity ${version} could not be built: ${reason}` };
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return { kind: "missing", reason: "Go is not installed, and csi-sanity is built with it" };
  }
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

/** Runs csi-sanity against both bundled programs; returns its JSON report. */
export async function runCsiSanity(program: string): Promise<string> {
  const mounting = await mayMount();
  await using environment = await TestEnvironment.withCa({ form: "bundle", plain: !mounting });
  await environment.startService();
  await environment.startDriver();
  const report = `${environment.base}/report.json`;
  const parent = `${environment.kubelet.root}/pods/sanity/volumes/kubernetes.io~csi/certs`;
  await Deno.mkdir(parent, { recursive: true });
  await new Deno.Command(program, {
    args: [
      ["-csi.endpoint", `${environment.base}/csi.sock`],
      ["-csi.mountdir", `${parent}/mount`],
      ["-csi.stagingdir", `${environment.base}/staging`],
      ["-ginkgo.skip", skip],
      ["-ginkgo.json-report", report],
    ].flat(),
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).output();
  return await Deno.readTextFile(report);
}

async function mayMount(): Promise<boolean> {
  const { canMount } = await import("../support/can_mount.ts");
  return canMount;
}

interface Spec {
  readonly LeafNodeType: string;
  readonly LeafNodeText: string;
  readonly ContainerHierarchyTexts: readonly string[] | null;
  readonly State: string;
  readonly Failure?: { readonly Message?: string };
}

/** The specs of a report by their outcome. */
export function readReport(text: string) {
  const suites: { readonly SpecReports: readonly Spec[] }[] = JSON.parse(text);
  const specs = suites.flatMap(({ SpecReports }) => SpecReports)
    .filter(({ LeafNodeType }) => LeafNodeType === "It");
  const nameOf = (spec: Spec) =>
    [...spec.ContainerHierarchyTexts ?? [], spec.LeafNodeText].join(" ");
  const isSkipped = ({ State }: Spec) => State === "skipped" || State === "pending";
  return {
    passed: specs.filter(({ State }) => State === "passed").map(nameOf),
    skipped: specs.filter(isSkipped).map(nameOf),
    failed: specs.filter((spec) => spec.State !== "passed" && !isSkipped(spec))
      .map((spec) => ({ name: nameOf(spec), message: spec.Failure?.Message ?? spec.State })),
  };
}
