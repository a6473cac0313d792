import type { BootClock } from "../../shared/scheduler/clock.ts";
import type { Scheduler } from "../../shared/scheduler/scheduler.ts";
import { CertificateRequester } from "../certificates/certificate_requester.ts";
import type { IssuanceClient } from "../certificates/issuance_client.ts";
import { KeyGenerator } from "../certificates/key_generator.ts";
import type { KubeletVolumes, Mounter } from "../volume/mounter.ts";
import { AdoptedVolumes } from "../volume/adopted_volumes.ts";
import { Publisher } from "../volume/publisher.ts";
import { Reconciler } from "../volume/reconciler.ts";
import { Renewer, type RenewerParts } from "../volume/renewer.ts";
import { TrustBundleUpdater } from "../volume/trust_bundle_updater.ts";
import type { VolumeRecord, VolumeStore } from "../volume/volume_record.ts";
import { VolumeTable } from "../volume/volume_table.ts";
import { VolumeWriter } from "../volume/volume_writer.ts";

/** The driver's ports to the mounts, the disk and the certificate service. */
export interface DriverPorts {
  readonly mounter: Mounter;
  readonly store: VolumeStore;
  readonly issuer: IssuanceClient;
}

export interface VolumeOptions extends DriverPorts, Pick<RenewerParts, "random" | "onRenewal"> {
  readonly clock: BootClock;
  /** Runs by `steadyClock`, so that no step of the wall clock delays a renewal. */
  readonly scheduler: Scheduler;
  readonly kubelet: KubeletVolumes;
  /** Receives how far the service's clock is ahead of the node's. */
  readonly onClockSkew?: (skewMs: number) => void;
  /** Receives the record of each volume that was removed. */
  readonly onRemoved?: (record: VolumeRecord) => void;
  /** Between two sweeps, and between two checks of the trust bundles. */
  readonly checkInterval: Temporal.Duration;
}

/** Creates what publishes, renews and repairs this node's volumes; starts nothing. Tests compose a node by it too. */
export function composeVolumes(options: VolumeOptions) {
  const { clock, mounter, store, issuer } = options;
  using undo = new DisposableStack();
  const keys = undo.use(new KeyGenerator(clock));
  const requester = new CertificateRequester(issuer, keys, clock, (skewMs) => {
    options.onClockSkew?.(skewMs);
    adopted.recordClockSkew(skewMs);
  });
  const table = new VolumeTable(options.onRemoved);
  const writer = new VolumeWriter({ mounter, store, table, clock });
  const parts = { ...options, keys, requester, table, writer };
  const renewer = new Renewer(parts);
  const adopted = new AdoptedVolumes({ ...parts, renewer });
  const publisher = new Publisher({ ...parts, renewer, adopted });
  const reconciler = undo.use(new Reconciler({ ...parts, renewer }));
  const onUntrusted = renewer.renewSoon.bind(renewer);
  const trust = undo.use(new TrustBundleUpdater({ ...parts, onUntrusted }));
  const resources = undo.move();
  return {
    table,
    renewer,
    publisher,
    reconciler,
    trust,
    [Symbol.dispose]: () => resources.dispose(),
  };
}
