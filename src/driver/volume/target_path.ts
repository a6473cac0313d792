const form = /^(?:\/[^/]+)*\/pods\/([^/]+)\/volumes\/kubernetes\.io~csi\/([^/]+)\/mount$/;
/** PATH_MAX without its NUL. */
const mostBytes = 4095;

/** What a target path states. */
export interface TargetPath {
  readonly podUid: string;
  readonly volumeName: string;
}

/**
 * Reads a path of the form that a kubelet gives; undefined for every other path. What is at a target can be removed with
 * all that it contains, so no path from a message or a record is used without this.
 */
export function parseTargetPath(path: string): TargetPath | undefined {
  const [, podUid, volumeName] = form.exec(path) ?? [];
  const components = path.split("/").slice(1);
  const isClean = components.every((name) => name !== "." && name !== "..") &&
    // deno-lint-ignore no-control-regex
    !/[\u0000-\u001f\u007f\ufffd]/.test(path) &&
    new TextEncoder().encode(path).length <= mostBytes;
  if (podUid === undefined || volumeName === undefined || !isClean) return undefined;
  return { podUid, volumeName };
}
