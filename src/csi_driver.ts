/** The node's program: serves CSI to the kubelet and keeps this node's certificates fresh. */
import { status } from "@grpc/grpc-js";
import { hostname } from "node:os";
import { getLogger } from "@logtape/logtape";
import manifest from "../deno.json" with { type: "json" };
import { readCommandLine } from "./config/command_line.ts";
import { type DriverConfig, driverConfig, driverName } from "./config/driver.ts";
import { print, refuse } from "./config/exit_code.ts";
import { driverHelp } from "./config/help.ts";
import { identityService } from "./csi/identity.ts";
import { nodeService } from "./csi/node.ts";
import { registrationService } from "./csi/registration.ts";
import { Identity, Node } from "./gen/csi_pb.ts";
import { Registration } from "./gen/plugin_registration_pb.ts";
import type { EndedCall } from "./grpc/call.ts";
import { register, serveUnix } from "./grpc/server.ts";
import { CertificateServiceClient } from "./issuance/client.ts";
import { connectService } from "./issuance/connection.ts";
import { reportHeld } from "./issuance/report.ts";
import { watchTrustBundle } from "./issuance/trust_watch.ts";
import { holdsFiles } from "./linux/atomic_directory.ts";
import { lockBasePath } from "./linux/base_path_lock.ts";
import { createMounter } from "./linux/create_mounter.ts";
import { openFreedMemory } from "./linux/freed_memory.ts";
import { harden } from "./linux/harden.ts";
import { kubeletNotes } from "./linux/kubelet_note.ts";
import { readRecords, recordStore } from "./linux/record_store.ts";
import { aborted } from "./scheduler/aborted.ts";
import { Afterwards } from "./scheduler/afterwards.ts";
import { Scheduler } from "./scheduler/scheduler.ts";
import { systemClock, wait } from "./scheduler/system_clock.ts";
import { serveHealth } from "./telemetry/health_endpoint.ts";
import { callLog } from "./telemetry/call_log.ts";
import { observeEventLoopLag } from "./telemetry/event_loop_lag.ts";
import { configureLogging } from "./telemetry/logging.ts";
import { Metrics } from "./telemetry/metrics.ts";
import { volumeMetrics } from "./telemetry/volume_metrics.ts";
import { CertificateSource } from "./volume/certificate_source.ts";
import { heldCertificates } from "./volume/held.ts";
import { KeyMaker } from "./volume/key_maker.ts";
import type { CertificateIssuer, Mounter, VolumeStore } from "./volume/ports.ts";
import { Publisher } from "./volume/publisher.ts";
import { Renewer } from "./volume/renewer.ts";
import { Restorer } from "./volume/restorer.ts";
import { formatStatus, volumeStatuses } from "./volume/status.ts";
import { TrustUpdater } from "./volume/trust_updater.ts";
import { VolumeTable } from "./volume/volume_table.ts";

const program = "csi-driver";
const logger = getLogger([program]);
/** A service that comes back is not asked for everything that waited for it at one instant. */
const retrySpreadMs = 10_000;
/** By then a burst of calls has mostly ended; releasing costs a millisecond. */
const releaseMemoryAfterMs = 1_000;

/** What the driver reaches the world by. */
export interface Edges {
  readonly mounter: Mounter & Disposable;
  readonly store: VolumeStore;
  readonly issuer: CertificateIssuer;
}

async function serve(
  config: DriverConfig,
  around: (edges: Edges) => Edges,
  signal: AbortSignal,
): Promise<void> {
  const clock = systemClock;
  for (const problem of harden()) logger.warn("{problem}", { problem });
  const shown = { ready: false, detail: () => "starting", metrics: () => "" };
  await using health = config.health && serveHealth(config.health, {
    live: () => ({ ok: true, detail: "serving" }),
    ready: () => ({ ok: shown.ready, detail: shown.detail() }),
    metrics: () => shown.metrics(),
  });
  const onWaiting = (problem: string) => {
    shown.detail = () => problem;
    logger.warn("waiting: {problem}", { problem });
  };
  using lock = await lockBasePath(config.certBasePath, { wait, onWaiting }, signal);
  if (lock === undefined) return;
  await using resources = new AsyncDisposableStack();
  const created = resources.use(
    await createMounter({
      stagingDir: lock.stagingDir,
      allowKeysOnDisk: config.allowKeysOnDisk,
      onWarning: (message) => logger.warn("{message}", { message }),
    }),
  );
  const client = resources.use(connectService(config.certService));
  const scheduler = resources.use(
    new Scheduler({
      clock,
      onError: (key, error, next) =>
        logger.error("the job of {key} failed", { key, error, nextAttempt: next }),
    }),
  );
  const keys = resources.use(new KeyMaker(clock));
  const table = new VolumeTable();
  const records = recordStore(config.certBasePath);
  const { mounter, store, issuer } = around({
    mounter: created,
    store: records,
    issuer: new CertificateServiceClient(client),
  });
  const source = new CertificateSource(issuer, keys, clock);
  const parts = { clock, scheduler, table, mounter, store, source, keys, kubelet: kubeletNotes };
  const metrics = new Metrics();
  const lag = resources.use(observeEventLoopLag(metrics, clock));
  const volumes = volumeMetrics(metrics, () => ({
    volumes: table.size,
    failing: renewer.failing,
    earliestExpiry: table.earliestExpiry,
  }));
  const onRenewal: typeof volumes.renewal = (outcome) => {
    volumes.renewal(outcome);
    lag.working();
  };
  const renewer: Renewer = new Renewer({ ...parts, random: Math.random, onRenewal });
  const publisher = new Publisher({ ...parts, renewer });

  shown.detail = () => `${table.size} volumes, ${renewer.failing} whose renewal fails at present`;
  shown.metrics = volumes.expose;

  const freed = resources.use(openFreedMemory());
  const tidying = resources.use(new Afterwards(clock, releaseMemoryAfterMs, freed.release));
  const tellCall = callLog(logger, metrics, "warning");
  const onCall = (call: EndedCall) => {
    tellCall({ ...call, code: status[call.code] });
    tidying.request();
    lag.working();
  };
  const { checkInterval, nodeId, registration } = config;
  const disowned = renewer.renewSoon.bind(renewer);
  const trust = resources.use(new TrustUpdater({ ...parts, checkInterval, disowned }));
  const leftovers = { mounted: () => created.mounted(), discard: records.discard.bind(records) };
  const restorer = resources.use(new Restorer({ ...parts, renewer, leftovers, checkInterval }));
  const restored = await restorer.restore();
  logger.info("restored {healthy} volumes, {repaired} to repair, {removed} removed", {
    healthy: restored.healthy,
    repaired: restored.repaired,
    removed: restored.removed,
    unreadable: restored.unreadable.length,
  });
  const { version } = manifest;
  resources.use(
    await serveUnix(config.socketPath, {
      services: [
        register(Identity, identityService({ name: driverName, version, ready: () => true })),
        register(Node, nodeService({ nodeId, publisher })),
      ],
      onCall,
    }),
  );
  // Last: the kubelet calls as soon as it finds this socket.
  if (registration) {
    const endpoint = registration.kubeletSocketPath;
    resources.use(
      await serveUnix(`${registration.directory}/${driverName}-reg.sock`, {
        services: [
          register(Registration, registrationService({ name: driverName, endpoint })),
        ],
        onCall,
      }),
    );
  }
  const watching = watchTrustBundle(
    client,
    {
      connected: async () => {
        renewer.retryFailed(retrySpreadMs);
        const held = await heldCertificates(table, mounter);
        await reportHeld(
          client,
          held.map(({ leaf, record }) => ({ ...record, certificate: leaf.der })),
          signal,
        );
      },
      bundle: async (certificates) => void await trust.update(certificates),
      lost: () => trust.lost(),
    },
    { wait, random: Math.random },
    signal,
  );
  shown.ready = true;
  tidying.request();
  logger.info("ready on {address}", {
    event: "ready",
    address: config.socketPath,
    healthAddress: health ? `${config.health?.hostname}:${health.port}` : "off",
    mounts: mounter.kind,
    version,
  });
  await aborted(signal);
  shown.ready = false;
  logger.info("stopping: calls in progress may finish");
  await watching;
}

function printStatus({ certBasePath }: DriverConfig): void {
  const { records, unreadable } = readRecords(certBasePath);
  for (const { path, problem } of unreadable) console.error(`${program}: ${path}: ${problem}`);
  console.log(formatStatus(volumeStatuses(records, holdsFiles, systemClock.now())));
}

/** Returns the exit code. `around` is for tests, which put faults between the driver and its world. */
export async function main(
  args: readonly string[],
  around: (edges: Edges) => Edges = (edges) => edges,
): Promise<number> {
  const command = readCommandLine(args, ["status"]);
  if (command.kind === "help") return print(driverHelp(manifest.version));
  if (command.kind === "version") return print(`${program} ${manifest.version}`);
  if (command.kind === "refused") return refuse(program, [command.problem]);
  const outcome = driverConfig(Deno.env.toObject(), hostname());
  if (outcome.kind === "refused") return refuse(program, outcome.problems);
  const { config, warnings } = outcome;
  if (command.kind === "command") {
    printStatus(config);
    return 0;
  }
  await using _logging = await configureLogging({ ...config.logging, program });
  for (const warning of warnings) logger.warn("{warning}", { warning });
  const stopping = new AbortController();
  for (const name of ["SIGTERM", "SIGINT"] as const) {
    Deno.addSignalListener(name, () => stopping.abort());
  }
  try {
    await serve(config, around, stopping.signal);
    return 0;
  } catch (error) {
    logger.fatal("cannot serve: {reason}", {
      reason: error instanceof Error ? error.message : String(error),
      error,
    });
    return 1;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
