import { setLogger } from "@grpc/grpc-js";
import { getLogger } from "@logtape/logtape";

const logger = getLogger(["grpc", "transport"]);

/** Sends grpc-js's own messages, which it would write to standard error, through the program's log. */
export function redirectTransportLog(): void {
  const write = (level: "error" | "info" | "debug") => (...parts: unknown[]) =>
    logger[level]("{text}", { text: parts.join(" ") });
  setLogger({ error: write("error"), info: write("info"), debug: write("debug") });
}
