/**
 * Words that a reader who learnt English as a second language has to guess at, or that are not the
 * field's, as regular expressions. Each has a plain counterpart: "octets" are bytes, "told" is
 * reported, "mend" is fix, "wanted" is required, "anew" is again, "a stranger" is unauthenticated.
 */
const unclearWords = [
  "anew",
  "anybody",
  "at hand",
  "beforehand",
  "besides",
  "disowned",
  "everybody",
  "goes on",
  "hears?",
  "in vain",
  "is let be",
  "lets? go",
  "mends?",
  "mended",
  "misfits?",
  "nobody",
  "objections?",
  "obtain(?:s|ed)?",
  "octets",
  "on (?:its|their) way",
  "somebody",
  "spoil(?:s|ed|t)?",
  "stor(?:y|ies)",
  "strange hands",
  "strangers?",
  "tells?",
  "told",
  "troubles?",
  "vouche[ds]",
  "wanted",
];
const unclear = new RegExp(`\\b(?:${unclearWords.join("|")})\\b`, "gi");

/** The unclear words of a text, also those in its identifiers. */
export function unclearIn(text: string): string[] {
  const separated = text.replace(/([a-z0-9])([A-Z])/g, "$1 $2").replaceAll("_", " ");
  return separated.match(unclear) ?? [];
}
