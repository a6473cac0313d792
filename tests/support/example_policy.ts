import { page } from "./documentation.ts";

/** The policy of deploy/example-policy.yaml after its rules were put into effect. */
export function editedExamplePolicy(): string {
  return page("deploy/example-policy.yaml").replace(
    /^rules: \[\]\n([^]*)/m,
    (_, rules: string) => `rules:\n${rules.replaceAll(/^#/gm, "")}`,
  );
}
