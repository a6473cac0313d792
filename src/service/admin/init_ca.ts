import { caKeyAlgorithms } from "../../shared/crypto/key_algorithm.ts";
import { maxCommonNameLength } from "../../shared/text/name_syntax.ts";
import { abbreviate, hasUnprintable } from "../../shared/text/printable_text.ts";

export interface InitCaOptions {
  readonly algorithm: typeof caKeyAlgorithms[number];
  readonly days: number;
  readonly commonName: string;
}

/** A CA's certificate and its key, PEM. */
export interface NewCa {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

/** The CA of a command line without options. */
export const defaultCa: InitCaOptions = {
  algorithm: "ecdsa-p256",
  days: 3650,
  commonName: "csi-cert-driver CA",
};
/** 100 years. */
export const maxCaDays = 36_500;
/** For hosts whose clock is behind, as in the certificates that the CA signs. */
const backdate = { minutes: 5 };

/** Reads the options of `init-ca`; one that is absent has its default. */
export function parseInitCaOptions(
  given: {
    readonly key?: string | undefined;
    readonly days?: string | undefined;
    readonly subject?: string | undefined;
  },
): { kind: "options"; options: InitCaOptions } | { kind: "refused"; problems: string[] } {
  const { key = defaultCa.algorithm, days = `${defaultCa.days}` } = given;
  const { subject = defaultCa.commonName } = given;
  const problems: string[] = [];
  const algorithm = caKeyAlgorithms.find((one) => one === key);
  if (algorithm === undefined) {
    problems.push(`--key is "${abbreviate(key)}"; expected one of ${caKeyAlgorithms.join(", ")}`);
  }
  const number = /^[1-9][0-9]{0,4}$/.test(days) ? Number(days) : 0;
  if (number < 1 || number > maxCaDays) {
    problems.push(
      `--days is "${abbreviate(days)}"; expected a whole number from 1 to ${maxCaDays}`,
    );
  }
  const isName = subject.trim() === subject && subject !== "" &&
    [...subject].length <= maxCommonNameLength && !hasUnprintable(subject);
  if (!isName) {
    problems.push(
      `--subject is "${
        abbreviate(subject)
      }"; expected a common name of 1 to ${maxCommonNameLength} printable ` +
        "characters, with no space at either end",
    );
  }
  if (algorithm === undefined || problems.length > 0) return { kind: "refused", problems };
  return { kind: "options", options: { algorithm, days: number, commonName: subject } };
}

/** Makes a self-signed CA that is valid from now on for the given number of days. */
export async function createCa(options: InitCaOptions, now: Temporal.Instant): Promise<NewCa> {
  // Loaded here, because the help page needs this file for its defaults alone.
  const { createSelfSignedCa } = await import("../x509/self_signed_ca.ts");
  const start = now.round({ smallestUnit: "second", roundingMode: "floor" });
  return await createSelfSignedCa({
    algorithm: options.algorithm,
    commonName: options.commonName,
    notBefore: start.subtract(backdate),
    notAfter: start.add({ hours: options.days * 24 }),
  });
}
