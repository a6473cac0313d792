import { decodePemBytes } from "../../shared/crypto/pem.ts";
import { Scheduler } from "../../shared/scheduler/scheduler.ts";
import { describeFileError } from "../../shared/text/file_error.ts";
import { installed } from "../../shared/text/product_names.ts";
import type { Clock } from "../../shared/scheduler/clock.ts";
import { ClientCas } from "../access/client_cas.ts";
import type { CaSource } from "../ca/ca_source.ts";
import { CurrentCa } from "../ca/current_ca.ts";
import { fileCaSource } from "../ca/file_ca_source.ts";
import { MemoryDocument } from "../documents/memory_document.ts";
import type { TextFile } from "../documents/watched_file.ts";
import { composeCaCheck } from "../issuing/ca_check.ts";
import { derivedCertificateTimes } from "../issuing/derived_node_issuer.ts";
import { CurrentPolicy } from "../issuing/current_policy.ts";
import type { Cluster } from "../kubernetes/cluster.ts";
import { openOpensslEngine } from "../openssl/openssl_engine.ts";
import { openService } from "./compose.ts";
import type { ServiceConfig } from "./config.ts";
import { logger } from "./logger.ts";
import { openAttestation, openNodeAccess } from "./node_access.ts";

/** The lifetime of nodes' client certificates, by the kind of authentication. */
const nodeCertificates = {
  kubernetes: derivedCertificateTimes,
  mtls: { backdating: { minutes: 0 }, longestLifetime: undefined },
  none: undefined,
};

export type ServiceParts = Awaited<ReturnType<typeof openParts>>;

/** The parts of the machine that the service uses. */
export interface Machine {
  readonly clock: Clock;
  /** Finds the cluster. */
  readonly environment: Readonly<Record<string, string>>;
}

/** Opens every part below the listeners, until the stack is disposed. */
export async function openParts(
  config: ServiceConfig,
  machine: Machine,
  resources: AsyncDisposableStack,
) {
  const { authentication, ca, policyFile } = config;
  const { clock } = machine;
  const onError = (key: string, error: unknown, nextAttempt: Temporal.Instant) =>
    logger.error("the job of {key} failed", { key, error, nextAttempt });
  const scheduler = resources.use(new Scheduler({ clock, onError }));
  const cluster = resources.use(await openClusterFor(config, machine));
  const currentCa = new CurrentCa();
  const watching = { currentCa, scheduler, clock };
  const clients = authentication.kind === "mtls"
    ? resources.use(
      await ClientCas.open({
        ...watching,
        file: textFile("CLIENT_CA_FILE", authentication.clientCaFile),
      }),
    )
    : undefined;
  const file = policyFile === undefined ? undefined : textFile("POLICY_FILE", policyFile);
  const policy = resources.use(await CurrentPolicy.open({ ...watching, base: config, file }));
  const attestation = authentication.kind === "kubernetes"
    ? openAttestation(config, cluster, clock)
    : undefined;
  // The shipped role lets the service write there.
  const { namespace, trustBundle, denials } = installed;
  const document = (name: string) => cluster?.document({ namespace, name }) ?? new MemoryDocument();
  const source = caSource(config, { scheduler, clock, cluster });
  const open = resources.use(
    await openService({
      engine: await openOpensslEngine(),
      ...watching,
      policy,
      caSource: source,
      caRotationDelay: config.caRotationDelay,
      caCheck: composeCaCheck(config, { clock, cluster, clients }),
      trustDocument: document(trustBundle),
      denialsDocument: document(denials),
      pods: cluster?.pods,
      driverPods: attestation?.driverPods,
      nodeCertificates: nodeCertificates[authentication.kind],
      nodes: attestation && { trustDomain: config.trustDomain, cas: attestation.nodeCas },
      clusterDomain: config.clusterDomain,
      servingName: config.servingName,
    }),
  );
  // The service waits for a Secret; files that are bad at the start are a mistake.
  if (ca.kind === "files" && open.caProblem !== undefined) {
    throw new Error(`${source.name}: ${open.caProblem}`);
  }
  const nodes = openNodeAccess(config, clients ?? attestation?.nodeCas, open);
  return { open, policy, clients, nodes, attestation, hasCluster: cluster !== undefined };
}

/** The Kubernetes client takes 84 MB and 0.4 s, so that it is loaded only where the service uses it. */
async function openClusterFor(
  { authentication, ca }: ServiceConfig,
  { clock, environment }: Machine,
): Promise<Cluster | undefined> {
  if (authentication.kind !== "kubernetes" && ca.kind !== "secret") return undefined;
  const { openCluster } = await import("../kubernetes/cluster.ts");
  return openCluster(environment, { clock });
}

function caSource(
  { ca, clusterId }: ServiceConfig,
  { scheduler, clock, cluster }: {
    readonly scheduler: Scheduler;
    readonly clock: Clock;
    readonly cluster: Cluster | undefined;
  },
): CaSource {
  if (ca.kind === "files") {
    return fileCaSource({
      certificate: textFile("CA_CERT_FILE", ca.certificateFile, decodePemBytes),
      privateKey: textFile("CA_KEY_FILE", ca.privateKeyFile, decodePemBytes),
      clusterId,
      isMissing: (error) => error instanceof Error && error.cause instanceof Deno.errors.NotFound,
      scheduler,
      clock,
    });
  }
  if (cluster === undefined) throw new Error("a CA in a Secret needs the Kubernetes API");
  return cluster.caSecret(ca);
}

function textFile(
  variable: string,
  path: string,
  decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes),
): TextFile {
  const name = `${variable} ${path}`;
  const read = async () => {
    const bytes = await Deno.readFile(path).catch((cause) => {
      throw new Error(describeFileError(name, cause), { cause });
    });
    return decode(bytes);
  };
  return { name, read };
}
