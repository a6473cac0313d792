import {
  type ConfigResult,
  type Environment,
  EnvironmentReader,
  type VariableTable,
} from "../../shared/config/environment.ts";
import { absolutePath } from "../../shared/config/value_parsers.ts";
import { maxSocketPathBytes } from "../../shared/text/limits.ts";

/** The variable that the service and the commands that call it share. */
export const adminVariables = {
  adminSocket: {
    name: "ADMIN_SOCKET",
    description:
      "the unix socket of the commands list, get and revoke; where it is unset the service has none",
    expected: `an absolute path of at most ${maxSocketPathBytes} bytes`,
    parse: absolutePath(maxSocketPathBytes),
  },
} as const satisfies VariableTable;

/** Where the commands call when ADMIN_SOCKET is unset; deploy/csi-driver.yaml sets the same path. */
const usualPath = "/run/cert-service/admin.sock";

/** Reads nothing else of the environment: a command works however the service is configured. */
export function readAdminSocket(environment: Environment): ConfigResult<{ path: string }> {
  const reading = new EnvironmentReader(environment, adminVariables);
  return reading.outcome(() => ({ path: reading.values.adminSocket ?? usualPath }));
}
