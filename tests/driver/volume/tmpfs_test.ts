/** The volumes' tests again, with the mounter that mounts a tmpfs for each volume. */
import { canMount } from "../../../scripts/support/can_mount.ts";
import { nodeMounter } from "../../support/node.ts";

if (canMount) {
  nodeMounter.kind = "tmpfs";
  await import("./publisher_test.ts");
  await import("./renewer_test.ts");
  await import("./reconciler_test.ts");
  await import("./damaged_volume_test.ts");
  await import("./trust_bundle_updater_test.ts");
  await import("./storm_test.ts");
  await import("./model_test.ts");
} else {
  const name = "the volumes' tests on a tmpfs (ignored: this process may not mount)";
  Deno.test({ name, ignore: true, fn: () => {} });
}
