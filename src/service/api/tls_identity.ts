import { encodePem } from "../../shared/crypto/pem.ts";
import type { ClientCaSource } from "../access/client_ca_source.ts";
import type { ServingCertificate, ServingKeyPair } from "../issuing/serving_certificate.ts";

/** The serving certificate and the CAs whose client certificates are accepted; both change while it serves. */
export interface MutualTlsIdentity {
  current(): ServingKeyPair & { readonly clientAuthoritiesPem: string };
  onChange(listener: () => void): Disposable;
}

/** Combines the serving certificate with the CAs of clients. */
export function mutualTlsIdentity(
  serving: Pick<ServingCertificate, "current" | "onChange">,
  clientCas: ClientCaSource,
): MutualTlsIdentity {
  return {
    current: () => {
      const pair = serving.current();
      const { certificates } = clientCas;
      // TLS takes an empty list for the system's CAs. As long as there is no client CA, the only
      // anchor is the serving certificate, whose key never leaves this process.
      const clientAuthoritiesPem = certificates.length === 0
        ? pair.certificatePem
        : certificates.map(({ der }) => encodePem("CERTIFICATE", der)).join("");
      return { ...pair, clientAuthoritiesPem };
    },
    onChange: (listener) => {
      const subscriptions = new DisposableStack();
      for (const source of [serving, clientCas]) subscriptions.use(source.onChange(listener));
      return subscriptions;
    },
  };
}
