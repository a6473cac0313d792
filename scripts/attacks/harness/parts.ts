/**
 * Parts of the programs that some attacks are written for. A row whose part is absent is skipped with
 * the reason; switch the part to "present" in the change that brings it.
 */
export const parts = {
  attestation: "present",
  administration: "present",
} as const satisfies Readonly<Record<string, "present" | "absent">>;

export type Part = keyof typeof parts;

const names: Readonly<Record<Part, string>> = {
  attestation: "the attestation endpoint on ATTESTATION_LISTEN_ADDR",
  administration: "the administration socket ADMIN_SOCKET",
};

export function isPresent(part: Part): boolean {
  return (parts as Readonly<Record<Part, string>>)[part] === "present";
}

export function absenceOf(part: Part): string {
  return `${names[part]} is not in the program yet (scripts/attacks/harness/parts.ts)`;
}
