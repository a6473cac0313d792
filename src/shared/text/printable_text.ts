/** Control, format, unassigned and private characters, lone surrogates, and U+FFFD. */
const unprintable = /[\p{C}\p{Zl}\p{Zp}\uFFFD]/u;

/** Whether a text holds a character that nobody can see, or that stands for one that was lost. */
export function hasUnprintable(text: string): boolean {
  return unprintable.test(text);
}

/** A text as a message may show it: unprintable characters escaped, cut with "…" after 60. */
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
