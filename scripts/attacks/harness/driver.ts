/** placeholder */
import type { Program } from "../../support/programs.ts";
export interface AttackedDriver {
  healthAddress: string;
  program: Program;
}
