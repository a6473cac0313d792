/**
 * This folder defines what a volume may ask for: the grammar of `volumeAttributes`, the templates
 * in their values, and the identity of the pod that asks. Its main types are `VolumeAttributes`,
 * `PodIdentity` and `PodFields`; its main function is `parseAttributes`. It never decides whether a
 * request is granted: that is policy, and the service's.
 */

import type { KeyAlgorithm } from "../crypto/key_algorithm.ts";

/** What a pod's volume asks for: the volumeAttributes, checked. */
export interface VolumeAttributes {
  /** From `duration` or `validity_days`: 10 s to 87600 h. */
  readonly duration: Temporal.Duration | undefined;
  /** Above zero and shorter than the duration, where both are given. */
  readonly renewBefore: Temporal.Duration | undefined;
  /** A DNS name of at most 64 characters, or a template of one. */
  readonly commonNameTemplate: string | undefined;
  readonly organizationalUnits: string[];
  /** DNS names, with or without "*." in front, or templates of them. */
  readonly dnsNames: string[];
  /** Canonical text. */
  readonly ipAddresses: string[];
  /** Absolute URIs, or templates of them. */
  readonly uris: string[];
  readonly keyAlgorithm: KeyAlgorithm;
  readonly reusePrivateKey: boolean;
  /** Permission bits of the files; undefined: the driver decides. */
  readonly fileMode: number | undefined;
  readonly certificateFile: string;
  readonly privateKeyFile: string;
  readonly caFile: string;
}

/** What is understood of a volume's attributes, and what is not. */
export interface ParsedAttributes {
  /** Defaults stand for what is not understood. */
  readonly understood: VolumeAttributes;
  /** The first problems. */
  readonly problems: readonly AttributeProblem[];
  /** How many further problems there are. */
  readonly unlisted: number;
}

/** One problem of one attribute; its texts are printable. */
export interface AttributeProblem {
  /** The key as it was given, made printable. */
  readonly attribute: string;
  /** The value, made printable and cut at 60 characters. */
  readonly given: string;
  /** What is accepted. */
  readonly expected: string;
}
