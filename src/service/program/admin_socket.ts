import {
  type ConfigResult,
  type Environment,
  EnvironmentReader,
  type VariableTable,
} from "../../shared/config/environment.ts";
import { absolutePath, isServedPath, servedPathLimits } from "../../shared/config/value_parsers.ts";

/** The variable that the service and the commands that call it have in common. */
export const adminVariables = {
  adminSocket: {
    name: "ADMIN_SOCKET",
    description:
      "the unix socket of the commands list, nodes, get and revoke; where it is unset the service has none",
    expected: `an absolute path ${servedPathLimits}`,
    parse: parseAdminSocket,
  },
} as const satisfies VariableTable;

function parseAdminSocket(text: string): string | undefined {
  const path = absolutePath()(text);
  return path !== undefined && isServedPath(path) ? path : undefined;
}

/** The socket of the commands where ADMIN_SOCKET is unset; deploy/base/csi-driver.yaml sets the same path. */
export const usualAdminSocket = "/run/cert-service/admin.sock";

/** Reads no other variable, so that a command works with every configuration of the service. */
export function readAdminSocket(environment: Environment): ConfigResult<{ path: string }> {
  const reading = new EnvironmentReader(environment, adminVariables);
  return reading.outcome(() => ({ path: reading.values.adminSocket ?? usualAdminSocket }));
}
