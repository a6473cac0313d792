/** The cluster's program: holds the CA, signs for the drivers, and keeps the inventory. */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { status } from "@grpc/grpc-js";
import { getLogger } from "@logtape/logtape";
import manifest from "../deno.json" with { type: "json" };
import { kubernetesManifest } from "./authority/ca_manifest.ts";
import { type CaMaterial, CertificateAuthority } from "./authority/certificate_authority.ts";
import { Inventory } from "./authority/inventory.ts";
import { Issuing } from "./authority/issuing.ts";
import { LeafSigner } from "./authority/leaf_signer.ts";
import type { Policy } from "./authority/policy.ts";
import { parsePolicyFile } from "./authority/policy_file.ts";
import { believeAnybody } from "./authority/ports.ts";
import { Reporting } from "./authority/reporting.ts";
import { MemoryDenialStore, Revocation } from "./authority/revocation.ts";
import { makeRootCa, parseRootCaOptions } from "./authority/root_ca.ts";
import { ServingCertificate } from "./authority/serving.ts";
import { SigningQueue } from "./authority/signing_queue.ts";
import { readCommandLine } from "./config/command_line.ts";
import { serviceHelp } from "./config/help.ts";
import { type ServiceConfig, serviceConfig } from "./config/service.ts";
import { CertificateService } from "./gen/certificate_service_pb.ts";
import type { EndedCall } from "./grpc/call.ts";
import { HealthService } from "./grpc/health_service.ts";
import { reflectionService } from "./grpc/reflection_service.ts";
import { register, serveTcp } from "./grpc/server.ts";
import { certificateService } from "./issuance/service.ts";
import { writeNewFiles } from "./linux/new_files.ts";
import { Scheduler } from "./scheduler/scheduler.ts";
import { systemClock } from "./scheduler/system_clock.ts";
import { serveHealth } from "./telemetry/health_endpoint.ts";
import { configureLogging } from "./telemetry/logging.ts";
import { loadIssuer } from "./x509/issuer.ts";

const logger = getLogger(["cert-service"]);
/** A driver's report of 100 certificates, the longest request there is. */
const largestMessageBytes = 512 * 1024;

async function serve(config: ServiceConfig, signal: AbortSignal): Promise<void> {
  const clock = systemClock;
  const material = await loadCa(config);
  const policy = await loadPolicy(config);
  await using resources = new AsyncDisposableStack();
  const scheduler = resources.use(
    new Scheduler({
      clock,
      onError: (key, error, next) =>
        logger.error("the job of {key} failed", { key, error, nextAttempt: next }),
    }),
  );
  const authority = new CertificateAuthority(material);
  const queue = new SigningQueue({ clock });
  const inventory = new Inventory({ clock, scheduler });
  const longestValidity = () => longest(policy);
  const store = new MemoryDenialStore();
  const revocation = new Revocation({ clock, scheduler, store, longestValidity, inventory });
  const parts = { authority, queue, inventory, revocation, clock };
  const signer = new LeafSigner({ authority, clock });
  const issuing = new Issuing({ ...parts, signer, policy: () => policy });
  const reporting = new Reporting({ ...parts, clusterDomain: config.clusterDomain });
  const serving = resources.use(
    await ServingCertificate.open({ authority, signer, scheduler, clock }),
  );

  const health = new HealthService();
  const services = [
    register(
      CertificateService,
      certificateService({ ...parts, authenticator: believeAnybody, issuing, reporting }),
    ),
    health.registered(),
  ];
  const server = resources.use(
    await serveTcp(config.listenAddress, {
      services: [...services, reflectionService(services)],
      maxMessageBytes: largestMessageBytes,
      onCall: logCall,
      ...(config.tls ? { tls: serving } : {}),
    }),
  );
  const state = { ready: true };
  const endpoint = config.health && serveHealth(config.health, {
    live: () => ({ ok: true, detail: "serving" }),
    ready: () => ({ ok: state.ready, detail: readiness(config, authority, inventory) }),
  });
  if (endpoint) resources.use(endpoint);
  for (const service of ["", CertificateService.typeName]) health.setStatus(service, true);
  logger.info("ready on {address}", {
    event: "ready",
    address: config.listenAddress.replace(/:[0-9]+$/, `:${server.port}`),
    healthAddress: endpoint ? `${config.health?.hostname}:${endpoint.port}` : "off",
    tls: config.tls,
    authentication: config.authentication.kind,
    version: manifest.version,
  });
  await aborted(signal);
  state.ready = false;
  for (const service of ["", CertificateService.typeName]) health.setStatus(service, false);
  logger.info("stopping: calls in progress may finish");
}

async function loadCa({ ca }: ServiceConfig): Promise<CaMaterial> {
  if (ca.kind === "secret") {
    throw new Error(
      "the CA cannot be read from a Secret yet: set CA_CERT_FILE and CA_KEY_FILE",
    );
  }
  const [certificatePem, privateKeyPem] = await Promise.all([
    Deno.readTextFile(ca.certificateFile),
    Deno.readTextFile(ca.privateKeyFile),
  ]);
  const loaded = await loadIssuer(certificatePem, privateKeyPem, systemClock.now());
  if (loaded.kind === "refused") throw new Error(`${ca.certificateFile}: ${loaded.problem}`);
  for (const warning of loaded.warnings) logger.warn("the CA: {warning}", { warning });
  const { certificate, algorithm } = loaded.issuer;
  logger.info("signing with {subject}", {
    subject: certificate.subject,
    algorithm,
    serialNumber: certificate.serialNumber,
    notAfter: certificate.notAfter,
  });
  return loaded;
}

async function loadPolicy(config: ServiceConfig): Promise<Policy> {
  const { clusterDomain, defaultValidity, maxValidity, policyFile } = config;
  if (policyFile === undefined) return { clusterDomain, defaultValidity, maxValidity, rules: [] };
  const parsed = parsePolicyFile(await Deno.readTextFile(policyFile));
  if (parsed.kind === "refused") throw new Error(`${policyFile}: ${parsed.problems.join("; ")}`);
  return { clusterDomain, defaultValidity, maxValidity, rules: parsed.rules };
}

/** The longest validity that any pod can get. */
function longest({ maxValidity, rules }: Policy): Temporal.Duration {
  return rules.flatMap((rule) => rule.maxValidity ?? [])
    .reduce(
      (most, next) => next.total("seconds") > most.total("seconds") ? next : most,
      maxValidity,
    );
}

function readiness(
  { authentication }: ServiceConfig,
  authority: CertificateAuthority,
  inventory: Inventory,
): string {
  const certificate = authority.material?.issuer.certificate;
  return [
    certificate === undefined
      ? authority.absence
      : `signing with ${certificate.subject}, valid until ${certificate.notAfter}`,
    `${inventory.size} certificates in the inventory`,
    ...(authentication.kind === "none"
      ? ["AUTHENTICATION=none: whoever reaches this service gets certificates for any pod"]
      : []),
  ].join("\n");
}

/** Decisions are told by the audit log; here only what went wrong without one. */
function logCall({ method, code, ms, error }: EndedCall): void {
  const properties = { method, code: status[code], ms: Math.round(ms) };
  if (code === status.INTERNAL || code === status.UNKNOWN) {
    return logger.error("{method} {code}", { ...properties, error });
  }
  logger.debug("{method} {code}", properties);
}

async function initCa(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      key: { type: "string" },
      days: { type: "string" },
      subject: { type: "string" },
      out: { type: "string" },
      kubernetes: { type: "boolean", default: false },
    },
  });
  const parsed = parseRootCaOptions(values);
  if (parsed.kind === "refused") return refuse(parsed.problems);
  if (values.kubernetes === (values.out !== undefined)) {
    return refuse(["init-ca: expected either --out DIR or --kubernetes"]);
  }
  const ca = await makeRootCa(parsed.options, systemClock.now());
  if (values.out === undefined) {
    await Deno.stdout.write(new TextEncoder().encode(kubernetesManifest(ca)));
    return 0;
  }
  await writeNewFiles(values.out, [
    { name: "tls.key", text: ca.privateKeyPem, mode: 0o600 },
    { name: "tls.crt", text: ca.certificatePem, mode: 0o644 },
  ]);
  console.error(`cert-service: wrote ${join(values.out, "tls.crt")} and tls.key (mode 0600)`);
  return 0;
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) =>
    signal.addEventListener("abort", () => resolve(), { once: true })
  );
}

/** Returns the exit code. */
async function main(args: string[]): Promise<number> {
  const command = readCommandLine(args, ["init-ca"]);
  if (command.kind === "help") return print(serviceHelp(manifest.version));
  if (command.kind === "version") return print(`cert-service ${manifest.version}`);
  if (command.kind === "refused") return refuse([command.problem]);
  if (command.kind === "command") {
    try {
      return await initCa(command.args);
    } catch (error) {
      return refuse([`init-ca: ${error instanceof Error ? error.message : error}`]);
    }
  }
  const outcome = serviceConfig(Deno.env.toObject());
  if (outcome.kind === "refused") return refuse(outcome.problems);
  const { config, warnings } = outcome;
  await using _logging = await configureLogging({ ...config.logging, program: "cert-service" });
  for (const warning of warnings) logger.warn("{warning}", { warning });
  const stopping = new AbortController();
  for (const name of ["SIGTERM", "SIGINT"] as const) {
    Deno.addSignalListener(name, () => stopping.abort());
  }
  try {
    if (config.authentication.kind !== "none") {
      throw new Error(
        `AUTHENTICATION=${config.authentication.kind} is not there yet: set AUTHENTICATION=none, ` +
          "and let nobody but the drivers reach this service",
      );
    }
    await serve(config, stopping.signal);
    return 0;
  } catch (error) {
    logger.fatal("cannot serve: {reason}", {
      reason: error instanceof Error ? error.message : String(error),
    });
    return 1;
  }
}

function print(text: string): number {
  console.log(text);
  return 0;
}

function refuse(problems: readonly string[]): number {
  for (const problem of problems) console.error(`cert-service: ${problem}`);
  console.error("cert-service: see cert-service --help");
  return 2;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
