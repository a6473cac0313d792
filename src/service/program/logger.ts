import { getLogger } from "@logtape/logtape";

export const program = "cert-service";
export const logger = getLogger([program]);
