import { bundleFlags, programFlags, type ProgramName } from "../permissions.ts";

/** How a run of the benchmark measures. */
export interface Settings {
  /** Fewer and shorter rounds. */
  readonly quick: boolean;
  /** The directory of the bundles that are measured. */
  readonly dist: string;
  /** Whether this process may mount. */
  readonly mounts: boolean;
}

/** Deno's arguments that run a bundle as it is shipped, but for the flags that `without` begins. */
export function programCommand({ dist }: Settings, name: ProgramName, without?: string): string[] {
  const flags = programFlags(name).filter((flag) => !without || !flag.startsWith(without));
  return [Deno.execPath(), "run", "--quiet", ...bundleFlags, ...flags, `${dist}/${name}.js`];
}
