/** A text as a C string, or null for none. */
export function cString(text: string): Uint8Array<ArrayBuffer>;
export function cString(text: string | undefined): Uint8Array<ArrayBuffer> | null;
export function cString(text: string | undefined): Uint8Array<ArrayBuffer> | null {
  if (text === undefined) return null;
  if (text.includes("\0")) throw new TypeError("a path for the kernel must not contain a NUL");
  return new TextEncoder().encode(`${text}\0`);
}
