export const keyAlgorithms = [
  "ecdsa-p256",
  "ecdsa-p384",
  "ed25519",
  "rsa-2048",
  "rsa-3072",
  "rsa-4096",
] as const;

/** For new roots: what the verifiers of many platforms accept. */
export const caKeyAlgorithms = ["ecdsa-p256", "ecdsa-p384", "rsa-2048", "rsa-4096"] as const;

export type KeyAlgorithm = typeof keyAlgorithms[number];
