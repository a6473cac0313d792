/** What is logged in place of a secret. */
export const redacted = "[redacted]";

const privateKeyBlock = /-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----/;

/** What every secret holds, so that most texts are looked through once. */
const suspicious = /PRIVATE KEY-----|eyJ/;

/**
 * The text, or "[redacted]" when it holds the beginning of a private key's PEM block (RFC 7468) or
 * a JSON Web Token (RFC 7519). A net below code that should never log these in the first place.
 */
export function redact(text: string): string {
  if (!suspicious.test(text)) return text;
  return privateKeyBlock.test(text) || holdsToken(text) ? redacted : text;
}

/** The base64url of `{"alg":""}`, the least header a token can have (RFC 7515), is this long. */
const leastHeader = 14;

/** Whether the text contains three parts, joined by dots, of which the first is a token's header. */
function holdsToken(text: string): boolean {
  // Split, not matched: a pattern that may start anywhere takes quadratic time on "eyJeyJ…".
  return text.split(/[^\w.-]+/).some((word) =>
    word.split(".").some((part, index, parts) => {
      const header = part.indexOf("eyJ");
      const isHeader = header >= 0 && part.length - header >= leastHeader;
      return isHeader && Boolean(parts[index + 1]) && parts[index + 2] !== undefined;
    })
  );
}
