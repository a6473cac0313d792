import { blocks, page } from "../../support/documentation.ts";

/** A page's first block of code in a language that holds the text. */
export function documentedBlock(path: string, language: "sh" | "yaml", holds: RegExp): string {
  const found = blocks(page(path), language).find((text) => holds.test(text));
  if (found === undefined) throw new Error(`${path} has no block of ${language} with ${holds}`);
  return found;
}
