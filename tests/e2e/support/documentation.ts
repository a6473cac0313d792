import { blocks, page } from "../../support/documentation.ts";

/** The blocks of commands that tests run word for word: the page, and what the block contains. */
export const documentedCommands = {
  administration: {
    path: "docs/how-to/list-and-revoke.md",
    contains: [/^service list/m, /^service get [0-9a-f]+$/m, /^service revoke --pod-uid /m],
  },
  standalone: {
    path: "docs/how-to/run-without-kubernetes.md",
    contains: [/init-ca --out pki\/pods/, /^node=.*$/m, /^docker exec \$node curl .*\n/m],
  },
} as const;

/** The text of such a block. */
export function documentedBlock(name: keyof typeof documentedCommands): string {
  const { path, contains } = documentedCommands[name];
  const found = blocks(page(path), "sh").find((text) => contains.every((part) => part.test(text)));
  if (found === undefined) {
    throw new Error(`${path} has no block of sh with ${contains.join(", ")}`);
  }
  return found;
}
