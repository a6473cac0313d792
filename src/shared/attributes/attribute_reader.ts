/** Notes a problem: the attribute, what was given, what is accepted. */
export type ReportProblem = (attribute: string, given: string, expected: string) => void;

/** The values by attribute; undefined for one that was given and is already refused. */
export type AttributeTexts = ReadonlyMap<string, string | undefined>;

/**
 * A value that passes, or what is accepted in its place, and what a volume that is in use gets then: another version
 * accepted the value.
 */
export type ReadResult<T> =
  | { readonly value: T }
  | { readonly expected: string; readonly substitute?: T | undefined };

/** One attribute's value; undefined when it is absent, or reported and without a substitute. */
export function readAttribute<T>(
  values: AttributeTexts,
  attribute: string,
  report: ReportProblem,
  read: (text: string) => ReadResult<T>,
): T | undefined {
  const text = values.get(attribute);
  if (text === undefined) return undefined;
  const outcome = read(text);
  if ("value" in outcome) return outcome.value;
  report(attribute, text, outcome.expected);
  return outcome.substitute;
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
    items.length = atMost;
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
