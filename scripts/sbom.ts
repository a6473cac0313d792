// Writes dist/sbom.json: what the two programs are made of, as CycloneDX 1.6.

import { dirname } from "node:path";
import manifest from "../deno.json" with { type: "json" };
import { leftOut } from "./bundle.ts";
import { entryOf } from "./permissions.ts";
import { taskArguments } from "./support/task_options.ts";

interface Graph {
  readonly modules: readonly { readonly kind: string; readonly npmPackage?: string }[];
  readonly npmPackages: Readonly<Record<string, NpmPackage>>;
}

interface NpmPackage {
  readonly name: string;
  readonly version: string;
  readonly dependencies: readonly string[];
}

async function graphOf(entry: string): Promise<Graph> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", entry],
    cwd: new URL("../", import.meta.url),
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout));
}

/** The packages that the modules import, and those that these need. */
function packagesOf({ modules, npmPackages }: Graph): Map<string, NpmPackage> {
  const found = new Map<string, NpmPackage>();
  const open = modules.flatMap(({ npmPackage }) => npmPackage ?? []);
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    const each = npmPackages[id];
    if (each === undefined || found.has(id) || each.name === leftOut) continue;
    found.set(id, each);
    open.push(...each.dependencies);
  }
  return found;
}

function packageUrl({ name, version }: NpmPackage): string {
  return `pkg:npm/${name.replace("@", "%40")}@${version}`;
}

/** Components of both programs, each once, in the order of their names. */
export async function billOfMaterials(): Promise<unknown> {
  const graphs = await Promise.all(
    (["csi-driver", "cert-service"] as const).map((name) => graphOf(entryOf(name, "source"))),
  );
  const packages = new Map(graphs.flatMap((graph) => [...packagesOf(graph)]));
  const components = [...packages.values()].map((each) => ({
    type: "library",
    name: each.name,
    version: each.version,
    purl: packageUrl(each),
  }));
  const runtime = { type: "platform", name: "deno", version: Deno.version.deno };
  return {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: {
      component: {
        type: "application",
        name: "csi-cert-driver",
        version: manifest.version,
        licenses: [{ license: { id: manifest.license } }],
      },
    },
    components: [runtime, ...components.sort((a, b) => a.purl < b.purl ? -1 : 1)],
  };
}

if (import.meta.main) {
  const { options: { out } } = taskArguments({
    name: "sbom",
    options: {
      out: { type: "string", value: "FILE", default: "dist/sbom.json", help: "the file" },
    },
  });
  await Deno.mkdir(dirname(out), { recursive: true });
  await Deno.writeTextFile(out, JSON.stringify(await billOfMaterials(), null, 2) + "\n");
  console.log(`sbom: ${out}`);
}
