import assert from "node:assert/strict";
import fc from "fast-check";
import { redact } from "../../../src/shared/telemetry/redaction.ts";

function base64url(value: unknown): string {
  const bytes = new TextEncoder().encode(JSON.stringify(value));
  return bytes.toBase64({ alphabet: "base64url", omitPadding: true });
}

const token = [base64url({ alg: "HS256" }), base64url({ sub: "node-1" }), "c2lnbmF0dXJl"].join(".");
// In two parts, so that no scanner takes this file for a leak.
const begin = (kind: string) => `-----BEGIN ${kind}PRIVATE KEY-----`;

Deno.test("a text with a private key's PEM block is redacted, whatever the kind and what surrounds it", () => {
  for (const kind of ["", "EC ", "RSA ", "ENCRYPTED ", "OPENSSH "]) {
    const block = `${begin(kind)}\nAAAA\n-----END ${kind}PRIVATE KEY-----\n`;
    for (const text of [block, `read ${block} from a file`, JSON.stringify(block), begin(kind)]) {
      assert.equal(redact(text), "[redacted]");
    }
  }
});

Deno.test("a text with a JSON Web Token is redacted, wherever it is", () => {
  const unsigned = token.slice(0, token.lastIndexOf(".") + 1);
  const texts = [
    token,
    unsigned,
    `Bearer ${token}`,
    `https://api.example/?token=${token}&verbose`,
    `two\\n${token}`,
    `{"token":"${token}"}`,
    `prefix${token}`,
    `see example.com. ${token}.`,
  ];
  for (const text of texts) assert.equal(redact(text), "[redacted]", text);
});

Deno.test("a text that only resembles a secret is not redacted", () => {
  const texts = [
    "",
    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
    "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
    "tls.key holds no PRIVATE KEY block",
    "keyJson.parse.again",
    "eyJ and eyJ.a.b",
    token.split(".").slice(0, 2).join("."),
    "web-0.default.svc.cluster.local",
  ];
  for (const text of texts) assert.equal(redact(text), text);
});

Deno.test("any token within any text is redacted", () => {
  const claims = fc.dictionary(fc.string(), fc.nat());
  fc.assert(
    fc.property(claims, fc.string(), fc.string(), (claims, before, after) => {
      const token = `${base64url({ alg: "ES256" })}.${base64url(claims)}.c2ln`;
      assert.equal(redact(`${before} ${token} ${after}`), "[redacted]");
    }),
  );
});

Deno.test("a text is redacted for what it contains, wherever that is and however often", () => {
  const pieces = [
    "-----BEGIN ",
    "EC ",
    "PRIVATE KEY",
    "-----",
    "eyJ",
    "hbGciOiJub25lIn0",
    ".",
    " ",
  ];
  const key = /-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----/;
  // Three parts, the first of them with a header of 14 characters at least.
  const token = /eyJ[\w-]{11,}\.[\w-]+\./;
  const texts = fc.string({ unit: fc.constantFrom(...pieces), maxLength: 12 });
  fc.assert(
    fc.property(texts, (text) => {
      assert.equal(redact(text), key.test(text) || token.test(text) ? "[redacted]" : text);
    }),
    { numRuns: 2_000 },
  );
});
