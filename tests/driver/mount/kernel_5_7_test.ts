/** The mounter's tests again, on a kernel that does not report where mounts begin. */
import { kernel } from "./mount_workspace.ts";

kernel.statxResult = (place) => place && { ...place, mountId: undefined, isMountPoint: undefined };
await import("./tmpfs_mounter_test.ts");
await import("./mounter_obstacles_test.ts");
await import("./foreign_mount_test.ts");
