import { type ImageConfig, writeImage } from "../image/archive.ts";
import { layProgram } from "../image/root.ts";

/** Sleeps for the longest time that an unsigned clock can count. */
const sleeping: ImageConfig = { entrypoint: ["/bin/busybox", "sleep", "2147483647"] };

/**
 * Writes the images that pods of the tests run: busybox with openssl and the peer, which is given as
 * a file, and what holds a pod.
 */
export async function toolImages(folder: string, peer: string): Promise<void> {
  const root = await Deno.makeTempDir({ prefix: "csi-cert-tools-" });
  try {
    await Deno.chmod(root, 0o755);
    await layProgram(root, "/bin/busybox");
    await writeImage({ name: "pause:1", root, config: sleeping }, `${folder}/pause.tar`);
    const { stdout } = await new Deno.Command("/bin/busybox", { args: ["--list"] }).output();
    for (const applet of new TextDecoder().decode(stdout).trim().split("\n")) {
      if (applet !== "busybox") await Deno.symlink("busybox", `${root}/bin/${applet}`);
    }
    await layProgram(root, "/usr/bin/openssl");
    await layProgram(root, peer, "/usr/bin/peer");
    await Deno.mkdir(`${root}/tmp`);
    const config = { entrypoint: ["/bin/sh"], env: { PATH: "/bin:/usr/bin" } };
    await writeImage({ name: "busybox:1.37", root, config }, `${folder}/busybox.tar`);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}
