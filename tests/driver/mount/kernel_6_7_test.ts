/** The mounter's tests again, on a kernel that reports where mounts begin, but whose mount ids are used again. */
import { kernel } from "./mount_workspace.ts";

kernel.statxResult = (place) => place && { ...place, mountId: undefined };
await import("./tmpfs_mounter_test.ts");
await import("./mounter_obstacles_test.ts");
await import("./foreign_mount_test.ts");
