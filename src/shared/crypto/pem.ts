import { latin1 } from "./der_values.ts";

/** DER as a PEM block (RFC 7468) with a final line feed. */
export function encodePem(label: string, der: Uint8Array): string {
  const lines = der.toBase64().replace(/.{64}(?=.)/g, "$&\n");
  return `-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`;
}

/**
 * The contents of all blocks with a label, in their order. A broken block (not base64, or without an
 * end) is returned as an empty array, so that a caller that checks each block rejects it.
 */
export function decodePem(label: string, text: string): Uint8Array[] {
  return blocks(text).filter((block) => block.label === label).map(({ body }) => bytes(body));
}

/**
 * The text of a PEM file. Bytes that are not UTF-8 become the characters with their numbers: PEM itself is ASCII, and a
 * comment above it in Latin-1 does no harm.
 */
export function decodePemBytes(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return latin1(bytes);
  }
}

/** Which PEM blocks a text contains, by label only, so that a message may contain it. */
export function describePem(text: string): string {
  const labels = blocks(text).map(({ label }) => label);
  const shown = labels.length > 8 ? [...labels.slice(0, 8), "…"] : labels;
  return labels.length === 0 ? "no PEM block" : `PEM blocks ${shown.join(", ")}`;
}

const begin = /-----BEGIN ([A-Z0-9][A-Z0-9 ]{0,62})-----/g;

/** Everything from one BEGIN line to the next is one block. */
function blocks(text: string): { label: string; body: string | undefined }[] {
  const found = [...text.matchAll(begin)];
  return found.map((match, index) => {
    const label = match[1] ?? "";
    const part = text.slice(match.index + match[0].length, found[index + 1]?.index);
    const end = part.indexOf(`-----END ${label}-----`);
    return { label, body: end < 0 ? undefined : part.slice(0, end) };
  });
}

function bytes(body: string | undefined): Uint8Array {
  try {
    return Uint8Array.fromBase64(body ?? "", { lastChunkHandling: "strict" });
  } catch {
    return new Uint8Array();
  }
}
