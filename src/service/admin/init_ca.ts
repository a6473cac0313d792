import { maxCommonNameLength } from "../../shared/text/name_syntax.ts";
import { abbreviate, hasUnprintable } from "../../shared/text/printable_text.ts";
import { createSelfSignedCa } from "../x509/self_signed_ca.ts";

const rootAlgorithms = ["ecdsa-p256", "ecdsa-p384", "rsa-2048", "rsa-4096"] as const;

export interface InitCaOptions {
  readonly algorithm: typeof rootAlgorithms[number];
  readonly days: number;
  readonly commonName: string;
}

/** A CA's certificate and its key, PEM. */
export interface NewCa {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

/** 100 years. */
const mostDays = 36_500;
/** For clocks that are behind, as for the certificates that the CA will sign. */
const backdate = { minutes: 5 };

/** Reads the command line's words for a CA; those that are absent have their defaults. */
export function parseInitCaOptions(
  given: {
    readonly key?: string | undefined;
    readonly days?: string | undefined;
    readonly subject?: string | undefined;
  },
): { kind: "options"; options: InitCaOptions } | { kind: "refused"; problems: string[] } {
  const { key = "ecdsa-p256", days = "3650", subject = "csi-cert-driver CA" } = given;
  const problems: string[] = [];
  const algorithm = rootAlgorithms.find((one) => one === key);
  if (algorithm === undefined) {
    problems.push(`--key is "${abbreviate(key)}"; expected one of ${rootAlgorithms.join(", ")}`);
  }
  const number = /^[1-9][0-9]{0,4}$/.test(days) ? Number(days) : 0;
  if (number < 1 || number > mostDays) {
    problems.push(
      `--days is "${abbreviate(days)}"; expected a whole number from 1 to ${mostDays}`,
    );
  }
  const isName = subject.trim() === subject && subject !== "" &&
    [...subject].length <= maxCommonNameLength && !hasUnprintable(subject);
  if (!isName) {
    problems.push(
      `--subject is "${
        abbreviate(subject)
      }"; expected a common name of 1 to ${maxCommonNameLength} printable ` +
        "characters, with no blank at either end",
    );
  }
  if (algorithm === undefined || problems.length > 0) return { kind: "refused", problems };
  return { kind: "options", options: { algorithm, days: number, commonName: subject } };
}

/** A new self-signed CA, valid for the days that were asked for. */
export function createCa(options: InitCaOptions, now: Temporal.Instant): Promise<NewCa> {
  const start = now.round({ smallestUnit: "second", roundingMode: "floor" });
  return createSelfSignedCa({
    algorithm: options.algorithm,
    commonName: options.commonName,
    notBefore: start.subtract(backdate),
    notAfter: start.add({ hours: options.days * 24 }),
  });
}
