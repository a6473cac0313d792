export const targetPattern =
  /^(?:\/[^/]+)*\/pods\/([^/]+)\/volumes\/kubernetes\.io~csi\/([^/]+)\/mount$/;
/** Whether a path has the form of a target that a kubelet gives. */
export function isTargetPath(path: string): boolean {
  return targetPattern.test(path);
}
