/**
 * The value with each Temporal object replaced by its text, for assert.deepEqual: it sees no own
 * property in a Temporal object and would compare any two instants as equal.
 */
export function comparable(value: unknown): unknown {
  if (value instanceof Temporal.Instant || value instanceof Temporal.Duration) {
    return value.toString();
  }
  if (Array.isArray(value)) return value.map(comparable);
  if (value === null || typeof value !== "object") return value;
  if (Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).map(([key, of]) => [key, comparable(of)]));
}
