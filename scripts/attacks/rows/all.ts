import type { Row } from "../harness/row.ts";
import { toolRows } from "../tools/rows.ts";
import { acceptingRows } from "./accepting.ts";
import { attestationRows } from "./attestation/rows.ts";
import { anchorRows, rotationRows } from "./changed_authorities.ts";
import { maliciousServiceRows } from "./driver/malicious_services.ts";
import { returningServiceRows } from "./driver/returning_services.ts";
import { rogueEndpointRows } from "./driver/rogue_endpoints.ts";
import { driverSocketRows } from "./driver/sockets.ts";
import { endingRows } from "./endings.ts";
import { fairnessRows } from "./fairness.ts";
import { floodRows } from "./floods.ts";
import { headerTableRows } from "./header_tables.ts";
import { driverHealthRows, serviceHealthRows } from "./health_ports.ts";
import { identityRows } from "./identities.ts";
import { messageRows } from "./messages.ts";
import { resumedSessionRows } from "./resumed_sessions.ts";
import { driverSignalRows, serviceSignalRows } from "./signals.ts";
import { slowRows } from "./slow.ts";
import { soakRows } from "./soak.ts";

/** Every row, in the order in which they are run against each program. */
export const rows: readonly Row[] = [
  ...identityRows,
  ...endingRows,
  ...floodRows,
  ...headerTableRows,
  ...messageRows,
  ...slowRows,
  ...soakRows,
  ...acceptingRows,
  ...fairnessRows,
  ...attestationRows,
  ...rotationRows,
  ...serviceHealthRows,
  ...serviceSignalRows,
  ...driverSocketRows,
  ...driverHealthRows,
  ...driverSignalRows,
  ...maliciousServiceRows,
  ...resumedSessionRows,
  ...anchorRows,
  ...returningServiceRows,
  ...rogueEndpointRows,
  ...toolRows,
];
