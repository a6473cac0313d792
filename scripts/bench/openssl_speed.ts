import type { CaKind } from "./authorities.ts";

const names: Readonly<Record<CaKind, string>> = {
  "P-256": "ecdsap256",
  Ed25519: "ed25519",
  "RSA-4096": "rsa4096",
};

/**
 * Certificates a second if each cost nothing but the verification of a P-256 request and the CA's
 * signature, on all cores and by OpenSSL: what no service here can beat.
 */
export async function opensslLimit(ca: CaKind, cores: number): Promise<number> {
  const verify = await speed("P-256", cores);
  const sign = await speed(ca, cores);
  return 1 / (1 / verify.verify + 1 / sign.sign);
}

async function speed(kind: CaKind, cores: number): Promise<{ sign: number; verify: number }> {
  const { stdout } = await new Deno.Command("openssl", {
    args: ["speed", "-mr", "-multi", String(cores), "-seconds", "1", names[kind]],
    stderr: "null",
  }).output();
  // The last line that counts sums the processes up: seconds, or operations, for one of each.
  const lines = new TextDecoder().decode(stdout).split("\n").filter((line) =>
    /^\+F[0-9]/.test(line)
  );
  const fields = (lines.at(-1) ?? "").split(":").map(Number);
  const [sign = NaN, verify = NaN] = fields.slice(-2);
  return { sign, verify };
}
