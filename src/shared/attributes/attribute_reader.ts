/** Notes a problem: the attribute, what was given, what is accepted. */
export type ReportProblem = (attribute: string, given: string, expected: string) => undefined;

/** The values by attribute; undefined for one that was given and is already refused. */
export type AttributeTexts = ReadonlyMap<string, string | undefined>;

/** A value that passes, or what is accepted in its place. */
export type ReadResult<T> = { readonly value: T } | { readonly expected: string };

/** One attribute's value; undefined when it is absent, or refused and reported. */
export function readAttribute<T>(
  values: AttributeTexts,
  attribute: string,
  report: ReportProblem,
  read: (text: string) => ReadResult<T>,
): T | undefined {
  const text = values.get(attribute);
  if (text === undefined) return undefined;
  const outcome = read(text);
  return "value" in outcome ? outcome.value : report(attribute, text, outcome.expected);
}

/** A comma-separated list, each item once, blanks around items dropped. */
export function readListAttribute<T>(
  values: AttributeTexts,
  attribute: string,
  atMost: number,
  report: ReportProblem,
  read: (text: string) => ReadResult<T>,
): T[] {
  const text = values.get(attribute);
  if (text === undefined) return [];
  const items = text.split(",").map((item) => item.trim());
  if (items.length > atMost) {
    report(attribute, `${items.length} items`, `at most ${atMost} items`);
    return [];
  }
  const accepted = new Set<T>();
  for (const item of items) {
    const outcome: ReadResult<T> = item === ""
      ? { expected: "items between all commas, and none at the end" }
      : read(item);
    if ("value" in outcome) accepted.add(outcome.value);
    else report(attribute, item === "" ? text : item, outcome.expected);
  }
  return [...accepted];
}
