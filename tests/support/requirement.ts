/** What a test needs of the machine, and why the test is ignored where that is missing. */
export interface Requirement {
  readonly isMet: boolean;
  readonly reason: string;
}

/** A test that is ignored where its requirement is not met: its name then states the reason. */
export function requiringTest(
  name: string,
  { isMet, reason }: Requirement,
  fn: () => Promise<void> | void,
): void {
  Deno.test({ name: isMet ? name : `${name} (ignored: ${reason})`, ignore: !isMet, fn });
}
