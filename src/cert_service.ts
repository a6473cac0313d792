/** The cluster's program: holds the CA, signs for the drivers, and keeps the inventory. */
// First: it takes its time on another thread.
import "./linux/early_seed.ts";
import { once } from "node:events";
import { status } from "@grpc/grpc-js";
import { getLogger } from "@logtape/logtape";
import manifest from "../deno.json" with { type: "json" };
import { CertificateAuthority } from "./authority/certificate_authority.ts";
import { ClientAuthorities } from "./authority/client_authorities.ts";
import { checkPolicyFile, type CommandOutcome, initCa } from "./authority/commands.ts";
import { openAuthority } from "./authority/composition.ts";
import { FileCaSource } from "./authority/file_ca_source.ts";
import { MemoryDocument } from "./authority/memory_document.ts";
import { mutualIdentity } from "./authority/mutual_identity.ts";
import { NodeCertificates } from "./authority/node_certificates.ts";
import { PolicySource } from "./authority/policy_source.ts";
import { type Authenticator, believeAnybody, type CaSource } from "./authority/ports.ts";
import { readiness } from "./authority/readiness.ts";
import type { RootCa } from "./authority/root_ca.ts";
import type { TextFile } from "./authority/watched_text.ts";
import { readCommandLine } from "./config/command_line.ts";
import { print, refuse } from "./config/exit_code.ts";
import { serviceHelp } from "./config/help.ts";
import { cautions, type ServiceConfig, serviceConfig } from "./config/service.ts";
import { CertificateService } from "./gen/certificate_service_pb.ts";
import { HealthService } from "./grpc/health_service.ts";
import { reflectionService } from "./grpc/reflection_service.ts";
import { register, serveTcp } from "./grpc/server.ts";
import { certificateService } from "./issuance/service.ts";
import type { Cluster } from "./kubernetes/cluster.ts";
import { harden } from "./linux/harden.ts";
import { writeNewFiles } from "./linux/new_files.ts";
import { openOpensslEngine } from "./linux/openssl_engine.ts";
import { Scheduler } from "./scheduler/scheduler.ts";
import { systemClock as clock } from "./scheduler/system_clock.ts";
import { callLog } from "./telemetry/call_log.ts";
import { observeEventLoopLag } from "./telemetry/event_loop_lag.ts";
import { serveHealth } from "./telemetry/health_endpoint.ts";
import { configureLogging } from "./telemetry/logging.ts";
import { Metrics } from "./telemetry/metrics.ts";
import { serviceMetrics } from "./telemetry/service_metrics.ts";

const program = "cert-service";
const logger = getLogger([program]);
/** A driver's report of 100 certificates, the longest request there is. */
const largestMessageBytes = 512 * 1024;
/** Where the shipped role lets the service write. */
const ownNamespace = "csi-cert-system";

async function serve(config: ServiceConfig, signal: AbortSignal): Promise<void> {
  for (const problem of harden()) logger.warn("{problem}", { problem });
  await using resources = new AsyncDisposableStack();
  const { open, policy, clients, cluster } = await openParts(config, resources);
  const metrics = new Metrics();
  const lag = resources.use(observeEventLoopLag(metrics, clock));
  // Refusals are told by the audit log.
  const tellCall = callLog(logger, metrics, "debug");
  const health = new HealthService();
  const implementation = certificateService({
    ...open,
    authenticator: authenticatorFor(config, cluster),
    ...(cluster ? { operators: cluster.operators } : {}),
  });
  const services = [register(CertificateService, implementation), health.registered()];
  const tls = clients ? mutualIdentity(open.serving, clients) : open.serving;
  const server = resources.use(
    await serveTcp(config.listenAddress, {
      services: [...services, reflectionService(services)],
      maxMessageBytes: largestMessageBytes,
      onCall: (call) => {
        tellCall({ ...call, code: status[call.code] });
        lag.working();
      },
      ...(config.tls ? { tls } : {}),
    }),
  );
  const known = { policy, clients, cautions: cautions(config, cluster !== undefined) };
  const ready = () => {
    const check = readiness(open, known);
    return signal.aborted ? { ok: false, detail: `stopping\n${check.detail}` } : check;
  };
  const endpoint = config.health && serveHealth(config.health, {
    ...{ ready, live: () => ({ ok: true, detail: "serving" }) },
    metrics: serviceMetrics(metrics, () => ({
      certificates: open.inventory.size,
      waiting: open.queue.waiting,
      caNotAfter: open.authority.material?.issuer.certificate.notAfter,
      shortened: open.signer.shortened,
    })),
  });
  if (endpoint) resources.use(endpoint);
  const where = {
    address: config.listenAddress.replace(/:[0-9]+$/, `:${server.port}`),
    healthAddress: endpoint ? `${config.health?.hostname}:${endpoint.port}` : "off",
  };
  let wasReady: boolean | undefined;
  const tell = () => {
    const { ok, detail } = ready();
    for (const name of ["", CertificateService.typeName]) health.setStatus(name, ok);
    if (ok === wasReady || signal.aborted) return;
    wasReady = ok;
    if (!ok) return logger.warn("not ready on {address}: {detail}", { ...where, detail });
    const { tls, authentication: { kind: authentication }, ca: { kind: ca } } = config;
    const { version } = manifest;
    const told = { event: "ready", ...where, tls, authentication, ca, version };
    logger.info("ready on {address}", told);
  };
  for (const source of [open.authority, open.serving]) resources.use(source.onChange(tell));
  open.denials?.loaded.then(tell);
  tell();
  if (!signal.aborted) await once(signal, "abort");
  tell();
  logger.info("stopping: calls in progress may finish");
}

/** Everything below the transport, on the machine's clock, for as long as the stack lives. */
async function openParts(config: ServiceConfig, resources: AsyncDisposableStack) {
  const { authentication, ca, policyFile } = config;
  const onError = (key: string, error: unknown, nextAttempt: Temporal.Instant) =>
    logger.error("the job of {key} failed", { key, error, nextAttempt });
  const scheduler = resources.use(new Scheduler({ clock, onError }));
  const cluster = resources.use(await openClusterFor(config));
  const authority = new CertificateAuthority();
  const watching = { authority, scheduler, clock };
  const clients = authentication.kind === "mtls"
    ? resources.use(
      await ClientAuthorities.open({ ...watching, file: textFile(authentication.clientCaFile) }),
    )
    : undefined;
  const file = policyFile === undefined ? undefined : textFile(policyFile);
  const changed = () => open.follower.refresh();
  const policy = resources.use(
    await PolicySource.open({ ...watching, base: config, file, changed }),
  );
  const document = (name: string) => cluster?.document({ namespace: ownNamespace, name });
  const open = resources.use(
    await openAuthority({
      engine: await openOpensslEngine(),
      ...watching,
      policy,
      caSource: caSource(config, scheduler, cluster),
      caRotationDelay: config.caRotationDelay,
      objection: clients && ((candidate) => clients.objection(candidate)),
      trustDocument: document("csi-cert-trust-bundle") ?? new MemoryDocument(),
      denialsDocument: document("csi-cert-denials"),
      pods: cluster?.pods,
      clusterDomain: config.clusterDomain,
    }),
  );
  // A Secret is waited for; files that are bad at the start are a mistake.
  if (ca.kind === "files" && open.caProblem !== undefined) {
    throw new Error(`${ca.certificateFile}: ${open.caProblem}`);
  }
  return { open, policy, clients, cluster };
}

/** The Kubernetes client takes 84 MB and 0.4 s, so it is loaded where it is needed only. */
async function openClusterFor({ authentication, ca }: ServiceConfig): Promise<Cluster | undefined> {
  if (authentication.kind !== "kubernetes" && ca.kind !== "secret") return undefined;
  const { openCluster } = await import("./kubernetes/cluster.ts");
  return openCluster(Deno.env.toObject(), { clock });
}

function caSource({ ca }: ServiceConfig, scheduler: Scheduler, cluster?: Cluster): CaSource {
  if (ca.kind === "files") {
    return new FileCaSource({
      certificate: textFile(ca.certificateFile),
      privateKey: textFile(ca.privateKeyFile),
      isMissing: (error) => error instanceof Deno.errors.NotFound,
      scheduler,
      clock,
    });
  }
  if (cluster === undefined) throw new Error("a CA in a Secret needs the Kubernetes API");
  return cluster.caSecret({ namespace: ca.namespace, name: ca.name });
}

function authenticatorFor(config: ServiceConfig, cluster: Cluster | undefined): Authenticator {
  const { authentication: { kind }, clusterDomain } = config;
  if (kind === "mtls") return new NodeCertificates({ clusterDomain, clock });
  if (kind === "none") return believeAnybody;
  if (cluster === undefined) throw new Error("tokens need the Kubernetes API");
  return cluster.authenticator(config.driverServiceAccount);
}

function textFile(path: string): TextFile {
  return { path, read: () => Deno.readTextFile(path) };
}

async function runCommand(command: "init-ca" | "check-policy", args: string[]): Promise<number> {
  let outcome: CommandOutcome;
  try {
    if (command === "init-ca") outcome = await initCa(args, clock.now(), writeCa);
    else {
      // What holds without any rule is what the service in this environment would have.
      const read = serviceConfig(Deno.env.toObject());
      if (read.kind === "refused") return refuse(program, read.problems);
      outcome = await checkPolicyFile(args, read.config, (path) => Deno.readTextFile(path));
    }
  } catch (error) {
    outcome = { kind: "refused", problems: [messageOf(error)] };
  }
  if (outcome.kind === "refused") {
    return refuse(program, outcome.problems.map((problem) => `${command}: ${problem}`));
  }
  await Deno.stdout.write(new TextEncoder().encode(outcome.output));
  return outcome.exitCode;
}

async function writeCa(folder: string, { certificatePem, privateKeyPem }: RootCa): Promise<void> {
  await writeNewFiles(folder, [
    { name: "tls.key", text: privateKeyPem, mode: 0o600 },
    { name: "tls.crt", text: certificatePem, mode: 0o644 },
  ]);
}

/** Returns the exit code. */
async function main(args: string[]): Promise<number> {
  const command = readCommandLine(args, ["init-ca", "check-policy"]);
  if (command.kind === "help") return print(serviceHelp(manifest.version));
  if (command.kind === "version") return print(`${program} ${manifest.version}`);
  if (command.kind === "refused") return refuse(program, [command.problem]);
  if (command.kind === "command") return await runCommand(command.command, command.args);
  const outcome = serviceConfig(Deno.env.toObject());
  if (outcome.kind === "refused") return refuse(program, outcome.problems);
  const { config, warnings } = outcome;
  await using _logging = await configureLogging({ ...config.logging, program });
  for (const warning of warnings) logger.warn("{warning}", { warning });
  const stopping = new AbortController();
  for (const name of ["SIGTERM", "SIGINT"] as const) {
    Deno.addSignalListener(name, () => stopping.abort());
  }
  try {
    await serve(config, stopping.signal);
    return 0;
  } catch (error) {
    logger.fatal("cannot serve: {reason}", { reason: messageOf(error) });
    return 1;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

if (import.meta.main) Deno.exit(await main(Deno.args));
