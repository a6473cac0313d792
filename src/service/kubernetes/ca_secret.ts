import type { V1Secret } from "@kubernetes/client-node";
import { getLogger } from "@logtape/logtape";
import { decodePemBytes } from "../../shared/crypto/pem.ts";
import type { NamespacedName } from "../../shared/text/kubernetes_names.ts";
import { compromisedAnnotation, formerCaKeys } from "../../shared/text/product_names.ts";
import type { CaSource, CaSourceState } from "../ca/ca_source.ts";
import type { ApiClient } from "./api_client.ts";
import { type ObjectWatchOptions, watchObject } from "./object_watch.ts";
import { secretPermission } from "./permissions.ts";

const logger = getLogger(["cert-service", "kubernetes"]);

const formerKeys = [formerCaKeys.certificate, formerCaKeys.privateKey];

/**
 * The CA in a Secret of type kubernetes.io/tls: tls.crt, tls.key and, for further anchors, ca.crt; the CA
 * before it, during a rotation, in tls-previous.crt and tls-previous.key.
 */
export function caSecretSource(
  client: ApiClient,
  secret: NamespacedName,
  options: ObjectWatchOptions,
): CaSource {
  const read = (signal: AbortSignal) =>
    client.call(
      secretPermission("get", secret),
      signal,
      ({ core }) => core.readNamespacedSecret({ ...secret }),
    );
  return {
    name: `Secret ${secret.namespace}/${secret.name}`,
    watch: async function* (signal) {
      const permission = secretPermission("watch", secret);
      for await (const state of watchObject<V1Secret>(client, permission, read, options, signal)) {
        yield state.kind === "object" ? readSecret(secret, state.object) : state;
      }
    },
  };
}

function readSecret(
  { namespace, name }: NamespacedName,
  { data = {}, metadata }: V1Secret,
): CaSourceState {
  const shown = `${namespace}/${name}`;
  const texts: Record<string, string | undefined> = {};
  for (const key of ["tls.crt", "tls.key", "ca.crt", ...formerKeys]) {
    const encoded = data[key];
    if (encoded === undefined || encoded === "") continue;
    texts[key] = decodeText(encoded);
    if (texts[key] === undefined) {
      // The API server accepts only base64, so that its answer is broken or not genuine.
      logger.error("Secret {name}: {key} is not base64", { name: shown, key });
    }
  }
  const missing = ["tls.crt", "tls.key"].filter((key) => texts[key] === undefined);
  if (missing.length > 0) {
    // Reported as a CA that cannot be used, so that the previous one remains in use.
    logger.error("Secret {name} has no {missing}; expected tls.crt and tls.key, PEM", {
      name: shown,
      missing: missing.join(" and no "),
    });
  }
  const [formerCertificate, formerKey] = formerKeys.map((key) => texts[key]);
  if ((formerCertificate === undefined) !== (formerKey === undefined)) {
    logger.warn(
      "Secret {name} has one of {keys}, and is used without a former CA; give both, or remove it",
      {
        name: shown,
        keys: formerKeys.join(" and "),
      },
    );
  }
  const { uid, resourceVersion, annotations = {} } = metadata ?? {};
  const compromised = annotations[compromisedAnnotation];
  if (compromised !== undefined && !["true", "false"].includes(compromised)) {
    logger.warn(
      "Secret {name}: the annotation {annotation} is not true or false: correct it or remove it",
      { name: shown, annotation: compromisedAnnotation },
    );
  }
  return {
    kind: "present",
    content: {
      certificatePem: texts["tls.crt"] ?? "",
      privateKeyPem: texts["tls.key"] ?? "",
      furtherAnchorsPem: texts["ca.crt"],
      former: formerCertificate !== undefined && formerKey !== undefined
        ? { certificatePem: formerCertificate, privateKeyPem: formerKey }
        : undefined,
      compromised: compromised === "true",
      clusterId: uid,
      source: uid && resourceVersion ? { uid, version: resourceVersion } : undefined,
    },
  };
}

/** Undefined for what is not base64 (RFC 4648, section 4). */
function decodeText(encoded: string): string | undefined {
  try {
    return decodePemBytes(Uint8Array.fromBase64(encoded));
  } catch {
    return undefined;
  }
}
