/** The SELinux context of a volume's files. */
export interface SelinuxContext {
  readonly context: string;
  /** Whether the driver fails at start where the node does not accept the context, instead of mounting without it. */
  readonly isRequired: boolean;
}

/** The type of container-selinux for files that any container may read, without categories. */
export const defaultSelinuxContext = "system_u:object_r:container_file_t:s0";

/** Reads `user:role:type` or `user:role:type:level`. The characters have no meaning in a mount option in quotes. */
export function parseSelinuxContext(text: string): string | undefined {
  const isContext = /^[\w.-]+:[\w.-]+:[\w.-]+(?::[\w.,:-]+)?$/.test(text) && text.length <= 255;
  return isContext ? text : undefined;
}
