import { encodePem } from "../../shared/crypto/pem.ts";
import type { ClientCaSource } from "../access/client_ca_source.ts";
import type { ServingCertificate, ServingKeyPair } from "../issuing/serving_certificate.ts";

/** The serving certificate and the CAs of the client certificates that are accepted; both can change. */
interface MutualTlsIdentity {
  current(): ServingKeyPair & { readonly clientAuthoritiesPem: string };
  onChange(listener: () => void): Disposable;
}

/** Combines the serving certificate with the client CAs. */
export function mutualTlsIdentity(
  serving: Pick<ServingCertificate, "current" | "onChange">,
  clientCas: ClientCaSource,
): MutualTlsIdentity {
  return {
    current: () => {
      const pair = serving.current();
      const { certificates } = clientCas;
      // For an empty list TLS would use the system's CAs. While there is no client CA, the only anchor
      // is therefore the serving certificate, whose key never leaves this process.
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
