/** A ClientHello (RFC 8446, 4.1.2) by hand, for handshakes that no TLS library would begin. */
import { concat } from "./frames.ts";

/** The version that is offered: TLS 1.3 by its extension, the older ones by the field itself. */
export type HelloVersion = "1.3" | "1.2" | "1.1";

const legacyVersions = { "1.3": 0x0303, "1.2": 0x0303, "1.1": 0x0302 } as const;

/** One record that contains a whole ClientHello. */
export function clientHello(version: HelloVersion = "1.3"): Uint8Array {
  const legacy = uint16(legacyVersions[version]);
  const suites = version === "1.3" ? uint16(0x1301, 0x1302) : uint16(0xc02b, 0xc02f, 0xc013);
  const extensions = [
    extension(10, vector16(uint16(0x001d, 0x0017))),
    extension(13, vector16(uint16(0x0403, 0x0804, 0x0401))),
    extension(16, vector16(vector8(new TextEncoder().encode("h2")))),
    ...version !== "1.3" ? [] : [
      extension(43, vector8(uint16(0x0304))),
      extension(51, vector16(concat(uint16(0x001d), vector16(publicKey())))),
    ],
  ];
  const body = concat(
    legacy,
    crypto.getRandomValues(new Uint8Array(32)),
    vector8(new Uint8Array()),
    vector16(suites),
    vector8(Uint8Array.of(0)),
    vector16(concat(...extensions)),
  );
  const handshake = concat(Uint8Array.of(1, 0), vector16(body));
  return concat(Uint8Array.of(22, 3, 1), vector16(handshake));
}

/** X25519's base point: a valid public key, enough for a handshake that is never finished. */
function publicKey(): Uint8Array {
  const key = new Uint8Array(32);
  key[0] = 9;
  return key;
}

function extension(type: number, content: Uint8Array): Uint8Array {
  return concat(uint16(type), vector16(content));
}

function vector8(content: Uint8Array): Uint8Array {
  return concat(Uint8Array.of(content.length), content);
}

function vector16(content: Uint8Array): Uint8Array {
  return concat(uint16(content.length), content);
}

function uint16(...values: readonly number[]): Uint8Array {
  return Uint8Array.from(values.flatMap((value) => [value >> 8, value & 0xff]));
}
