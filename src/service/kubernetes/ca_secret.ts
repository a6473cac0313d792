import type { V1Secret } from "@kubernetes/client-node";
import { getLogger } from "@logtape/logtape";
import type { NamespacedName } from "../../shared/text/kubernetes_names.ts";
import type { CaSource, CaSourceState } from "../ca/ca_source.ts";
import type { ApiClient } from "./api_client.ts";
import { type ObjectWatchOptions, type Observation, watchObject } from "./object_watch.ts";
import { secretPermission } from "./permissions.ts";

const logger = getLogger(["cert-service", "kubernetes"]);

/** States that the key of the CA before this one is compromised. */
const compromisedAnnotation = "csi-cert-driver/old-key-compromised";

/** The CA in a Secret of type kubernetes.io/tls: tls.crt, tls.key and, for further anchors, ca.crt. */
export class CaSecretSource implements CaSource {
  readonly #connection: ApiClient;
  readonly #secret: NamespacedName;
  readonly #options: ObjectWatchOptions;

  constructor(connection: ApiClient, secret: NamespacedName, options: ObjectWatchOptions) {
    this.#connection = connection;
    this.#secret = secret;
    this.#options = options;
  }

  async *watch(signal: AbortSignal): AsyncGenerator<CaSourceState> {
    const { namespace, name } = this.#secret;
    const followed = {
      read: (signal: AbortSignal) =>
        this.#connection.call(
          secretPermission("get", this.#secret),
          signal,
          ({ core }) => core.readNamespacedSecret({ namespace, name }),
        ),
      path: `/api/v1/namespaces/${namespace}/secrets`,
      name,
      permission: secretPermission("watch", this.#secret),
    };
    for await (
      const seen of watchObject<V1Secret>(this.#connection, followed, this.#options, signal)
    ) {
      yield this.#state(seen);
    }
  }

  #state(seen: Observation<V1Secret>): CaSourceState {
    if (seen.kind !== "object") return seen;
    const { data = {}, metadata } = seen.object;
    const called = `Secret ${this.#secret.namespace}/${this.#secret.name}`;
    const texts: Record<string, string | undefined> = {};
    for (const key of ["tls.crt", "tls.key", "ca.crt"]) {
      const encoded = data[key];
      if (encoded === undefined || encoded === "") continue;
      texts[key] = decodeText(encoded);
      if (texts[key] === undefined) {
        // The API server accepts nothing else, so it is broken or not genuine.
        logger.error("{called}: {key} is not base64", { called, key });
      }
    }
    const missing = ["tls.crt", "tls.key"].filter((key) => texts[key] === undefined);
    if (missing.length > 0) {
      // Reported as a CA that cannot be used, so that the former one stays in use.
      logger.error("{called} has no {missing}; expected tls.crt and tls.key, PEM", {
        called,
        missing: missing.join(" and no "),
      });
    }
    return {
      kind: "secret",
      secret: {
        certificatePem: texts["tls.crt"] ?? "",
        privateKeyPem: texts["tls.key"] ?? "",
        furtherAnchorsPem: texts["ca.crt"],
        compromised: metadata?.annotations?.[compromisedAnnotation] === "true",
        clusterId: metadata?.uid,
        version: metadata?.resourceVersion ?? "",
      },
    };
  }
}

/** Undefined for what is not base64 (RFC 4648, section 4) of UTF-8. */
function decodeText(encoded: string): string | undefined {
  try {
    const bytes = Uint8Array.fromBase64(encoded);
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
