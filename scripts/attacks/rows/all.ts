import type { Row } from "../harness/row.ts";
import { driverSocketRows } from "./driver_sockets.ts";
import { endingRows } from "./endings.ts";
import { fairnessRows } from "./fairness.ts";
import { floodRows } from "./floods.ts";
import { headerTableRows } from "./header_tables.ts";
import { driverHealthRows, serviceHealthRows } from "./health_ports.ts";
import { identityRows } from "./identities.ts";
import { fileRows } from "./limits_of_files.ts";
import { maliciousServiceRows } from "./malicious_services.ts";
import { messageRows } from "./messages.ts";
import { driverSignalRows, serviceSignalRows } from "./signals.ts";
import { slowRows } from "./slow.ts";

/** Every row, in the order in which they are run. */
export const rows: readonly Row[] = [
  ...identityRows,
  ...endingRows,
  ...floodRows,
  ...headerTableRows,
  ...messageRows,
  ...slowRows,
  ...fileRows,
  ...fairnessRows,
  ...serviceHealthRows,
  ...serviceSignalRows,
  ...driverSocketRows,
  ...driverHealthRows,
  ...driverSignalRows,
  ...maliciousServiceRows,
];
