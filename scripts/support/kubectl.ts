/** Runs kubectl as the cluster's administrator; throws with its output. */
export async function kubectl(args: readonly string[], input?: string): Promise<string> {
  const { success, stdout, stderr } = await tryKubectl(args, input);
  if (!success) throw new Error(`kubectl ${args.join(" ")}: ${stderr.trim() || stdout.trim()}`);
  return stdout;
}

export interface KubectlOutcome {
  readonly success: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

/** The same, with a failure as an outcome like another. */
export async function tryKubectl(
  args: readonly string[],
  input?: string,
): Promise<KubectlOutcome> {
  const child = new Deno.Command("kubectl", {
    args: [...args],
    stdin: input === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const output = child.output();
  if (input !== undefined) {
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(input));
    await writer.close();
  }
  const { success, stdout, stderr } = await output;
  const [out = "", words = ""] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  return { success, stdout: out, stderr: words };
}

/** An object or a list, as JSON. */
// deno-lint-ignore no-explicit-any
export async function getJson(...args: string[]): Promise<any> {
  return JSON.parse(await kubectl(["get", ...args, "--output=json"]));
}

/** Applies objects, given as values. */
export async function apply(...objects: unknown[]): Promise<void> {
  await kubectl(["apply", "-f", "-"], objects.map((each) => JSON.stringify(each)).join("\n---\n"));
}

/** Repeats a question until it has an answer; throws an error that names `what` after the limit. */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined | false>,
  limitMs = 120_000,
): Promise<T> {
  const deadline = performance.now() + limitMs;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > deadline) throw new Error(`${what}: not within ${limitMs / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
