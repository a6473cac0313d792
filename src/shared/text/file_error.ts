import { errorMessage } from "./error_message.ts";

/** A sentence for a file that cannot be read or written; the runtime's own text never stands alone. */
export function describeFileError(
  file: string,
  error: unknown,
  act: "read" | "written" = "read",
): string {
  if (error instanceof Error && error.name === "NotFound") return `${file} does not exist`;
  return `${file} cannot be ${act}: ${withoutPath(errorMessage(error))}`;
}

/** The runtime's text without its end, which names the call and the path again: ": readfile '/path'". */
function withoutPath(message: string): string {
  return message.replace(/(?:: |, )\w+ '.*'$/s, "");
}
