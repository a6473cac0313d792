import type { ClientCas } from "../access/client_cas.ts";
import type { ServingCertificate, ServingKeyPair } from "../issuing/serving_certificate.ts";

/** What the service shows, and whose clients it believes; both change while it serves. */
export interface MutualTlsIdentity {
  current(): ServingKeyPair & { readonly clientAuthoritiesPem: string };
  onChange(listener: () => void): Disposable;
}

/** Puts the serving certificate and the CAs of clients together. */
export function mutualTlsIdentity(
  serving: ServingCertificate,
  clients: ClientCas,
): MutualTlsIdentity {
  return {
    current: () => ({ ...serving.current(), clientAuthoritiesPem: clients.pem }),
    onChange: (listener) => {
      const subscriptions = new DisposableStack();
      for (const source of [serving, clients]) subscriptions.use(source.onChange(listener));
      return subscriptions;
    },
  };
}
