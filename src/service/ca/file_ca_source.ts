import type { Clock } from "../../shared/scheduler/clock.ts";
import type { Scheduler } from "../../shared/scheduler/scheduler.ts";
import { changes, Listeners } from "../../shared/scheduler/listeners.ts";
import type { CaSource, CaSourceState } from "./ca_source.ts";
import { type TextFile, watchTextFile } from "../documents/watched_file.ts";
import { errorMessage } from "../../shared/text/error_message.ts";

export interface FileCaSourceOptions {
  readonly certificate: TextFile;
  readonly privateKey: TextFile;
  /** CLUSTER_ID, where node certificates are issued. */
  readonly clusterId?: string | undefined;
  /** Whether an error means that a file does not exist, in contrast to one that cannot be read. */
  readonly isMissing: (error: unknown) => boolean;
  readonly scheduler: Scheduler;
  readonly clock: Clock;
}

/** The CA in two files, which are read again every 10 s. */
export function fileCaSource(options: FileCaSourceOptions): CaSource {
  const { scheduler, clock, certificate, privateKey } = options;
  // As text, so that two reads can be compared.
  const read = async () => JSON.stringify(await readState(options));
  return {
    name: `${certificate.name} and ${privateKey.name}`,
    watch: async function* (signal) {
      const first = await read();
      let latest = first;
      const listeners = new Listeners();
      await using _watched = watchTextFile({
        key: "ca-files",
        scheduler,
        clock,
        read,
        first,
        onChange: (text) => {
          latest = text;
          listeners.call();
          return Promise.resolve();
        },
        onError: () => {},
      });
      for await (const _ of changes((listener) => listeners.add(listener), signal)) {
        yield JSON.parse(latest) as CaSourceState;
      }
    },
  };
}

async function readState(
  { certificate, privateKey, clusterId, isMissing }: FileCaSourceOptions,
): Promise<CaSourceState> {
  try {
    const [certificatePem, privateKeyPem] = await Promise.all([
      certificate.read(),
      privateKey.read(),
    ]);
    const content = {
      certificatePem,
      privateKeyPem,
      furtherAnchorsPem: undefined,
      compromised: false,
      clusterId,
    };
    return { kind: "present", content };
  } catch (error) {
    if (isMissing(error)) return { kind: "absent" };
    return { kind: "unavailable", problem: errorMessage(error) };
  }
}
