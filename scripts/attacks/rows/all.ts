import type { Row } from "../harness/row.ts";
import { endingRows } from "./endings.ts";
import { floodRows } from "./floods.ts";
import { headerTableRows } from "./header_tables.ts";
import { messageRows } from "./messages.ts";
import { slowRows } from "./slow.ts";

/** Every row, in the order in which they are run. */
export const rows: readonly Row[] = [
  ...endingRows,
  ...floodRows,
  ...headerTableRows,
  ...messageRows,
  ...slowRows,
];
