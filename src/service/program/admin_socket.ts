import {
  type ConfigResult,
  type Environment,
  EnvironmentReader,
  type VariableTable,
} from "../../shared/config/environment.ts";
import { absolutePath } from "../../shared/config/value_parsers.ts";
import { maxSocketPathBytes } from "../../shared/text/limits.ts";

/** The variable that the service and the commands that call it have in common. */
export const adminVariables = {
  adminSocket: {
    name: "ADMIN_SOCKET",
    description:
      "the unix socket of the commands list, get and revoke; where it is unset the service has none",
    expected: `an absolute path of at most ${maxSocketPathBytes} bytes`,
    parse: absolutePath(maxSocketPathBytes),
  },
} as const satisfies VariableTable;

/** The socket of the commands where ADMIN_SOCKET is unset; deploy/base/csi-driver.yaml sets the same path. */
export const usualAdminSocket = "/run/cert-service/admin.sock";

/** Reads no other variable, so that a command works with every configuration of the service. */
export function readAdminSocket(environment: Environment): ConfigResult<{ path: string }> {
  const reading = new EnvironmentReader(environment, adminVariables);
  return reading.outcome(() => ({ path: reading.values.adminSocket ?? usualAdminSocket }));
}
