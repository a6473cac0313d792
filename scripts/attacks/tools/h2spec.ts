import { fileURLToPath } from "node:url";
import { buildGoProgram, type Built } from "../../bench/go_builds.ts";

const longestMs = 120_000;

/** Builds https://github.com/summerwind/h2spec, as its go.mod here pins it, into the user's cache. */
export async function buildH2spec(): Promise<Built> {
  return await buildGoProgram({
    folder: fileURLToPath(new URL(".", new URL("./h2spec/go.mod", import.meta.url))),
    sources: ["go.mod", "go.sum"],
    program: "h2spec",
    package: "github.com/summerwind/h2spec/cmd/h2spec",
  });
}

/** Runs a tool and returns what it wrote; undefined when it is missing or failed. */
export async function runTool(
  program: string,
  args: readonly string[],
): Promise<string | undefined> {
  try {
    const command = new Deno.Command(program, {
      args: [...args],
      stdin: "null",
      stdout: "piped",
      stderr: "null",
      signal: AbortSignal.timeout(longestMs),
    });
    const { success, stdout } = await command.output();
    return success ? new TextDecoder().decode(stdout) : undefined;
  } catch {
    return undefined;
  }
}

/** Reads h2spec's JUnit report: cases are named "package: case". */
export function readReport(xml: string): { passed: number; failed: string[] } {
  const failed: string[] = [];
  let passed = 0;
  const cases = xml.matchAll(
    /<testcase package="([^"]*)" classname="([^"]*)"[^>]*>(.*?)<\/testcase>/gs,
  );
  for (const [, suite = "", name = "", content = ""] of cases) {
    if (/<(failure|error)/.test(content)) failed.push(`${suite}: ${unescape(name)}`);
    else if (!/<skipped/.test(content)) passed++;
  }
  return { passed, failed };
}

function unescape(text: string): string {
  return text.replace(/&#34;|&quot;/g, '"').replace(/&#39;/g, "'").replace(/&gt;/g, ">")
    .replace(/&lt;/g, "<").replace(/&amp;/g, "&");
}
