export const keyAlgorithms = [
  "ecdsa-p256",
  "ecdsa-p384",
  "ed25519",
  "rsa-2048",
  "rsa-3072",
  "rsa-4096",
] as const;

export type KeyAlgorithm = typeof keyAlgorithms[number];
