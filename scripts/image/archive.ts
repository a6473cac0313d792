import { createHash } from "node:crypto";

/** The defaults of a container of the image. */
export interface ImageConfig {
  readonly entrypoint: readonly string[];
  readonly user?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly exposedPorts?: readonly number[];
}

/** An image's parts and its name, such as "csi-cert-driver:0.1.0". */
export interface Image {
  readonly name: string;
  /** The folder that becomes the image's root file system. */
  readonly root: string;
  readonly config: ImageConfig;
}

/** The machine's name in Go and in image indexes. */
export const architecture = Deno.build.arch === "aarch64" ? "arm64" : "amd64";

const types = {
  index: "application/vnd.oci.image.index.v1+json",
  manifest: "application/vnd.oci.image.manifest.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
  layer: "application/vnd.oci.image.layer.v1.tar",
} as const;

/** The same files give the same bytes: order, owners and times are fixed. */
const reproducible = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner"];

/**
 * Writes an image as one tar, in the layout of the OCI image specification 1.1, with the
 * manifest.json that `docker load` of old and `podman load` look for.
 */
export async function writeImage({ name, root, config }: Image, output: string): Promise<void> {
  const work = await Deno.makeTempDir({ prefix: "csi-cert-image-" });
  try {
    await Deno.mkdir(`${work}/blobs/sha256`, { recursive: true });
    await tar(`${work}/layer`, root);
    const layer = await blob(work, await Deno.readFile(`${work}/layer`));
    await Deno.remove(`${work}/layer`);
    const settings = await blob(work, json(imageSettings(config, layer.digest)));
    const manifest = await blob(
      work,
      json({
        schemaVersion: 2,
        mediaType: types.manifest,
        config: { mediaType: types.config, ...settings },
        layers: [{ mediaType: types.layer, ...layer }],
      }),
    );
    await Deno.writeFile(`${work}/oci-layout`, json({ imageLayoutVersion: "1.0.0" }));
    await Deno.writeFile(`${work}/index.json`, json(index(name, manifest)));
    const [Config, Layer] = [settings, layer].map(({ digest }) => blobPath(digest));
    await Deno.writeFile(
      `${work}/manifest.json`,
      json([{ Config, RepoTags: [name], Layers: [Layer] }]),
    );
    await tar(output, work);
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

interface Blob {
  readonly digest: string;
  readonly size: number;
}

async function blob(work: string, bytes: Uint8Array): Promise<Blob> {
  const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
  await Deno.writeFile(`${work}/${blobPath(digest)}`, bytes);
  return { digest, size: bytes.length };
}

function blobPath(digest: string): string {
  return `blobs/${digest.replace(":", "/")}`;
}

function imageSettings(config: ImageConfig, layerDigest: string): unknown {
  return {
    architecture,
    os: "linux",
    config: {
      Entrypoint: config.entrypoint,
      User: config.user ?? "",
      Env: Object.entries(config.env ?? {}).map(([key, value]) => `${key}=${value}`),
      Labels: config.labels ?? {},
      ExposedPorts: Object.fromEntries((config.exposedPorts ?? []).map((p) => [`${p}/tcp`, {}])),
      WorkingDir: "/",
    },
    // The layer is not compressed: its digest is that of its contents.
    rootfs: { type: "layers", diff_ids: [layerDigest] },
  };
}

function index(name: string, manifest: Blob): unknown {
  const [, tag] = name.split(":");
  return {
    schemaVersion: 2,
    mediaType: types.index,
    manifests: [{
      mediaType: types.manifest,
      ...manifest,
      platform: { architecture, os: "linux" },
      annotations: {
        "io.containerd.image.name": `docker.io/library/${name}`,
        "org.opencontainers.image.ref.name": tag,
      },
    }],
  };
}

function json(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

async function tar(output: string, folder: string): Promise<void> {
  const args = ["--create", "--format=ustar", ...reproducible, "--file", output, "-C", folder, "."];
  const { success, stderr } = await new Deno.Command("tar", { args, stdin: "null" }).output();
  if (!success) throw new Error(`tar failed on ${folder}: ${new TextDecoder().decode(stderr)}`);
}
