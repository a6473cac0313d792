// What the service reads of the API's objects, as their JSON has it. Everything is optional: what an
// API server leaves out is for the reader to judge.

export interface Metadata {
  readonly name?: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  /** RFC 3339; there once the object is to go. */
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly ownerReferences?: readonly { readonly kind?: string }[];
}

export interface Secret {
  readonly metadata?: Metadata;
  /** Base64 by key. */
  readonly data?: Readonly<Record<string, string>>;
}

export interface ConfigMap {
  readonly metadata?: Metadata;
  readonly data?: Readonly<Record<string, string>>;
}

export interface Pod {
  readonly metadata?: Metadata;
  readonly spec?: {
    readonly nodeName?: string;
    readonly serviceAccountName?: string;
    readonly hostname?: string;
    readonly subdomain?: string;
    readonly volumes?: readonly {
      readonly name: string;
      readonly csi?: {
        readonly driver: string;
        readonly volumeAttributes?: Readonly<Record<string, string>>;
      };
    }[];
  };
  readonly status?: { readonly phase?: string };
}

export interface TokenReview {
  readonly status?: {
    readonly authenticated?: boolean;
    readonly audiences?: readonly string[];
    readonly user?: {
      readonly username?: string;
      readonly extra?: Readonly<Record<string, readonly string[]>>;
    };
  };
}

export interface SubjectAccessReview {
  readonly status?: { readonly allowed?: boolean; readonly denied?: boolean };
}
