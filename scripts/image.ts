// Writes the image as one tar for `ctr images import`, `podman load` or `docker load`.
// The default is what the Containerfile builds; `bundle` needs no base binary of the compiler.

import { dirname } from "node:path";
import manifest from "../deno.json" with { type: "json" };
import { type ImageConfig, writeImage } from "./image/archive.ts";
import { type Runtime, writeRoot } from "./image/root.ts";
import { errorMessage } from "../src/shared/text/error_message.ts";
import { taskArguments } from "./support/task_options.ts";

/** The image name in deploy/base/csi-driver.yaml. */
export const imageName = `csi-cert-driver:${manifest.version}`;

const config: ImageConfig = {
  entrypoint: ["/usr/local/bin/cert-service"],
  user: "65532:65532",
  env: {
    PATH: "/usr/local/bin:/usr/bin:/bin",
    DENO_DIR: "/nonexistent",
    DENO_NO_UPDATE_CHECK: "1",
  },
  labels: {
    "org.opencontainers.image.title": "csi-cert-driver",
    "org.opencontainers.image.description":
      "A certificate for every pod that names a volume for it",
    "org.opencontainers.image.version": manifest.version,
    "org.opencontainers.image.licenses": manifest.license,
  },
  exposedPorts: [50051, 50052, 9808],
};

/** Writes the image; returns the size of the file in bytes. */
export async function buildImage(
  output: string,
  options: { readonly runtime: Runtime; readonly name?: string },
): Promise<number> {
  const root = await Deno.makeTempDir({ prefix: "csi-cert-root-" });
  try {
    // Otherwise only root could enter the image's root directory.
    await Deno.chmod(root, 0o755);
    await writeRoot(root, options.runtime);
    await Deno.mkdir(dirname(output), { recursive: true });
    await writeImage({ name: options.name ?? imageName, root, config }, output);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
  return (await Deno.stat(output)).size;
}

if (import.meta.main) {
  const { options } = taskArguments({
    name: "image",
    options: {
      runtime: {
        type: "string",
        value: "compiled|bundle",
        default: "compiled",
        help: "the form of the programs; bundle needs no base binary",
      },
      out: { type: "string", value: "FILE", default: "dist/image.tar", help: "the image's file" },
      tag: { type: "string", value: "NAME:TAG", default: imageName, help: "the image's name" },
    },
  });
  const { runtime, out, tag: name } = options;
  if (runtime !== "compiled" && runtime !== "bundle") {
    console.error(`image: --runtime ${runtime}: expected compiled or bundle`);
    Deno.exit(2);
  }
  try {
    const size = await buildImage(out, { runtime, name });
    console.log(`image: ${out} ${(size / 2 ** 20).toFixed(1)} MiB, ${name}`);
  } catch (error) {
    console.error(`image: ${errorMessage(error)}`);
    Deno.exit(1);
  }
}
