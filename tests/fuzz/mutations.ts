import fc from "fast-check";

/** Bytes that end, begin or overflow something in DER, protobuf, UTF-8 or PEM. */
const significantBytes = [
  0x00,
  0x01,
  0x02,
  0x03,
  0x04,
  0x30,
  0x31,
  0x7f,
  0x80,
  0x81,
  0x82,
  0x84,
  0xa0,
  0xff,
];

type Change = (bytes: number[], others: readonly Uint8Array[]) => void;

// Without a bias, and not a double of fast-check's: both would have most changes at the very beginning.
const place = fc.noBias(fc.integer({ min: 0, max: 2 ** 30 - 1 })).map((n) => n / 2 ** 30);
const at = (bytes: number[], place: number) => Math.floor(bytes.length * place);
const byte = fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constantFrom(...significantBytes));
const length = fc.oneof(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 200 }));

const overwritten = fc.tuple(place, byte).map(([where, byte]): Change => (bytes) => {
  if (bytes.length > 0) bytes[at(bytes, where)] = byte;
});
const flipped = fc.tuple(place, fc.nat(7)).map(([where, bit]): Change => (bytes) => {
  const index = at(bytes, where);
  if (bytes.length > 0) bytes[index] = bytes[index]! ^ (1 << bit);
});
const inserted = fc.tuple(place, fc.array(byte, { minLength: 1, maxLength: 8 }))
  .map(([where, put]): Change => (bytes) => void bytes.splice(at(bytes, where), 0, ...put));
const cut = fc.tuple(place, length)
  .map(([where, length]): Change => (bytes) => void bytes.splice(at(bytes, where), length));
const doubled = fc.tuple(place, length, place).map(([from, length, to]): Change => (bytes) => {
  const piece = bytes.slice(at(bytes, from), at(bytes, from) + length);
  bytes.splice(at(bytes, to), 0, ...piece);
});
const mixed = fc.tuple(place, place, length, place)
  .map(([which, from, length, to]): Change => (bytes, others) => {
    const other = others[Math.floor(others.length * which)]!;
    const start = Math.floor(other.length * from);
    bytes.splice(at(bytes, to), length, ...other.subarray(start, start + length));
  });
const ended = place.map((where): Change => (bytes) => void bytes.splice(at(bytes, where)));

const change: fc.Arbitrary<Change> = fc.oneof(
  { weight: 6, arbitrary: overwritten },
  { weight: 6, arbitrary: flipped },
  { weight: 2, arbitrary: inserted },
  { weight: 2, arbitrary: cut },
  { weight: 1, arbitrary: doubled },
  { weight: 2, arbitrary: mixed },
  { weight: 1, arbitrary: ended },
);

/** The pieces of a corpus, with bytes changed, cut, doubled and mixed. */
export function mutated(corpus: readonly Uint8Array[]): fc.Arbitrary<Uint8Array<ArrayBuffer>> {
  // Half of them with one change only: more of those pass the first check.
  const changes = fc.oneof(
    fc.tuple(change),
    fc.array(change, { minLength: 2, maxLength: 4 }),
  );
  return fc.tuple(fc.nat(corpus.length - 1), changes).map(([which, changes]) => {
    const bytes = [...corpus[which]!];
    for (const change of changes) change(bytes, corpus);
    return new Uint8Array(bytes);
  });
}

/** The same for texts; bytes that are not UTF-8 become what a reader of files makes of them. */
export function mutatedText(corpus: readonly string[]): fc.Arbitrary<string> {
  const encoder = new TextEncoder();
  const decoder = new TextDecoder();
  return mutated(corpus.map((text) => encoder.encode(text))).map((it) => decoder.decode(it));
}
