/** A client's certificate (the leaf first, then intermediates) and its PKCS#8 key. */
export interface ClientIdentity {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
  /** Aborted shortly before the certificate expires: what still runs on its connection is cancelled then. */
  readonly expiring?: AbortSignal | undefined;
}

/**
 * What a call has shown of the connection: the server answered it (with an error of the call's own too), there is no
 * connection, or the server did not accept the identity.
 */
export type ConnectionObservation = "answered" | "unreachable" | "unauthenticated";

/** An identity that may be replaced while it is in use. */
export interface ClientIdentitySource {
  /** The same object until it is replaced; undefined while there is none. */
  current(): ClientIdentity | undefined;
  /** Why there is no identity, or why it cannot be renewed. */
  readonly problem: string | undefined;
  /** Calls back when `current` has another identity, until disposed. */
  onChange(listener: () => void): Disposable;
  /** Receives what each call has shown of its connection; an identity may be read or requested again then. */
  report(observation: ConnectionObservation): void;
}

/** An identity that is never replaced. */
export function fixedIdentity(identity: ClientIdentity): ClientIdentitySource {
  return {
    current: () => identity,
    problem: undefined,
    onChange: () => ({ [Symbol.dispose]: () => {} }),
    report: () => {},
  };
}
