/** Control, format, unassigned and private characters, lone surrogates, and U+FFFD. */
const unprintable = /[\p{C}\p{Zl}\p{Zp}\uFFFD]/u;

/** Whether a text contains a character that is invisible, or that replaces one that was lost. */
export function hasUnprintable(text: string): boolean {
  return unprintable.test(text);
}

/** A text for a message: unprintable characters escaped, cut with "…" after 60 characters. */
export function abbreviate(text: string): string {
  let shown = "";
  for (const character of text) {
    const next = unprintable.test(character)
      ? `\\u{${character.codePointAt(0)?.toString(16)}}`
      : character;
    if (shown.length + next.length > 60) return `${shown}…`;
    shown += next;
  }
  return shown;
}

/** The longest reason in an audit line, a status or an event of Kubernetes. */
export const maxReasonCharacters = 1_024;
/** How many problems a reason lists; the others are reported when these are fixed. */
const maxListedProblems = 10;

/** A text of at most so many characters; a longer one ends with "…". */
export function truncate(text: string, maxCharacters: number): string {
  if (text.length <= maxCharacters) return text;
  // A pair of surrogates is not cut in two.
  return `${text.slice(0, maxCharacters - 1).replace(/[\uD800-\uDBFF]$/, "")}…`;
}

/**
 * Problems in one line, "; " between them, the first ones only where they are many: a small request
 * can have thousands. `unlisted` counts the problems that the caller has already omitted.
 */
export function joinProblems(problems: readonly string[], unlisted = 0): string {
  const ending = "; and 1234567 more".length;
  const listed: string[] = [];
  let length = 0;
  for (const problem of problems.slice(0, maxListedProblems)) {
    length += problem.length + "; ".length;
    if (listed.length > 0 && length + ending > maxReasonCharacters) break;
    listed.push(truncate(problem, maxReasonCharacters - ending));
  }
  const more = problems.length - listed.length + unlisted;
  return listed.join("; ") + (more > 0 ? `; and ${more} more` : "");
}
