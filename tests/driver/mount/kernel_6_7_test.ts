/** The mounter's tests again, on a kernel that tells where mounts begin, but has no ids that are used once only. */
import { kernel } from "./mount_workspace.ts";

kernel.tells = (place) => place && { ...place, mountId: undefined };
await import("./tmpfs_mounter_test.ts");
await import("./mounter_obstacles_test.ts");
await import("./remembered_mount_test.ts");
