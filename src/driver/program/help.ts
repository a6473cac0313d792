import { helpPage } from "../../shared/config/help_page.ts";
import { driverVariables } from "./config.ts";

/** What `csi-driver --help` prints. */
export function driverHelp(version: string): string {
  return helpPage(
    `csi-driver ${version}: certificates for pods, on inline CSI volumes of this node`,
    [
      ["csi-driver", "serve CSI to the kubelet until SIGTERM or SIGINT"],
      ["csi-driver status", "print the state of this node's volumes"],
      ["csi-driver --help", "print this text"],
      ["csi-driver --version", "print the version"],
    ],
    driverVariables,
  );
}
