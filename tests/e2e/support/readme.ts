/** The README's first block of code in a language that holds what is looked for. */
export async function readmeBlock(language: "sh" | "yaml", holds: RegExp): Promise<string> {
  const readme = await Deno.readTextFile(new URL("../../../README.md", import.meta.url));
  const blocks = readme.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, "gms"));
  const found = [...blocks].map(([, text = ""]) => text).find((text) => holds.test(text));
  if (found === undefined) throw new Error(`README.md has no block of ${language} with ${holds}`);
  return found;
}
