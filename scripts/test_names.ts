// The names of tests, read from the text of their modules without running them.

/** The literal parts of a test's name, with an unknown value between two of them. */
export type NameParts = readonly string[];

/** Deno.test, and the functions of tests that call it: mountTest(NAME, …), testWith(PROGRAM, NAME, …). */
const registration = /\b(?:Deno\.test\(|[a-z]\w*Test\(|testWith\("[^"]*",)\s*/g;

/** The name of each test that a module registers. */
export function testNames(text: string): NameParts[] {
  return [...text.matchAll(registration)].map(({ 0: call, index }) => {
    const start = index + call.length;
    if (text[start] !== "{") return nameAt(text, start);
    const property = /\bname(?::\s*|(?=[,\s]))/g;
    property.lastIndex = start;
    return property.test(text) ? nameAt(text, property.lastIndex) : ["", ""];
  });
}

/**
 * Whether a name can contain some words. `hasWords` answers for the part of them that a value would
 * have to contain; words that a value would have to contain alone are the caller's to look for.
 */
export function canContain(
  parts: NameParts,
  words: string,
  hasWords: (part: string) => boolean,
): boolean {
  return parts.some((part, index) => {
    if (part.includes(words)) return true;
    // From within this part, or from the value before it, over at least one border.
    return suffixes(part).some((suffix) =>
      suffix !== "" && words.startsWith(suffix) &&
      continues(parts, index + 1, words.slice(suffix.length), hasWords)
    ) || index > 0 && beginsInValue(parts, index, words, hasWords);
  });
}

function beginsInValue(
  parts: NameParts,
  index: number,
  words: string,
  hasWords: (part: string) => boolean,
): boolean {
  return suffixes(words).some((rest) => {
    if (rest === "" || rest === words) return false;
    const part = parts[index]!;
    const meets = part.startsWith(rest) ||
      part !== "" && rest.startsWith(part) &&
        continues(parts, index + 1, rest.slice(part.length), hasWords);
    return meets && hasWords(words.slice(0, words.length - rest.length));
  });
}

/** Whether the words can be the value before a part, and then that part or the beginning of it. */
function continues(
  parts: NameParts,
  index: number,
  words: string,
  hasWords: (part: string) => boolean,
): boolean {
  if (index >= parts.length) return words === "";
  return hasWords(words) || parts[index]!.startsWith(words) ||
    beginsInValue(parts, index, words, hasWords);
}

function suffixes(text: string): string[] {
  return Array.from({ length: text.length + 1 }, (_, from) => text.slice(from));
}

/** The name that is written at a position: a string, a template, or an expression. */
function nameAt(text: string, start: number): NameParts {
  const quote = text[start];
  if (quote !== '"' && quote !== "`") return ["", ""];
  const parts = [""];
  let at = start + 1;
  for (; at < text.length && text[at] !== quote; at++) {
    if (quote === "`" && text.startsWith("${", at)) {
      at = endOfValue(text, at + 2);
      parts.push("");
      continue;
    }
    if (text[at] === "\\") at++;
    parts.push(parts.pop()! + text.charAt(at));
  }
  const next = /^[`"]\s*\+\s*/.exec(text.slice(at, at + 200));
  if (next === null) return parts;
  const [first = "", ...others] = nameAt(text, at + next[0].length);
  return [...parts.slice(0, -1), parts.at(-1) + first, ...others];
}

/** The position of the brace that ends the value of a template which begins at a position. */
function endOfValue(text: string, start: number): number {
  let depth = 0;
  for (let at = start; at < text.length; at++) {
    const character = text[at];
    if (character === '"' || character === "'" || character === "`") {
      at = endOfString(text, at);
    } else if (character === "{") depth++;
    else if (character === "}" && depth-- === 0) return at;
  }
  return text.length;
}

function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === "\\") at++;
    else if (text[start] === "`" && text.startsWith("${", at)) at = endOfValue(text, at + 2);
    else if (text[at] === text[start]) return at;
  }
  return text.length;
}
