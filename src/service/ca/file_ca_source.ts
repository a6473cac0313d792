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
export class FileCaSource implements CaSource {
  readonly name: string;
  readonly #options: FileCaSourceOptions;

  constructor(options: FileCaSourceOptions) {
    this.#options = options;
    this.name = `${options.certificate.name} and ${options.privateKey.name}`;
  }

  async *watch(signal: AbortSignal): AsyncGenerator<CaSourceState> {
    const { scheduler, clock } = this.#options;
    const first = await this.#read();
    let latest = first;
    const listeners = new Listeners();
    await using _watched = watchTextFile({
      key: "ca-files",
      scheduler,
      clock,
      read: () => this.#read(),
      first,
      onChange: (text) => {
        latest = text;
        listeners.call();
        return Promise.resolve();
      },
      onError: () => {},
    });
    for await (const _ of changes((listener) => listeners.add(listener), signal)) {
      yield parse(latest);
    }
  }

  /** Reads the state as text, so that two reads can be compared. */
  async #read(): Promise<string> {
    const { certificate, privateKey, clusterId, isMissing } = this.#options;
    try {
      const [certificatePem, privateKeyPem] = await Promise.all([
        certificate.read(),
        privateKey.read(),
      ]);
      const secret = {
        certificatePem,
        privateKeyPem,
        furtherAnchorsPem: undefined,
        compromised: false,
        clusterId,
        version: "",
      };
      return JSON.stringify({ kind: "secret", secret });
    } catch (error) {
      if (isMissing(error)) return JSON.stringify({ kind: "absent" });
      const problem = errorMessage(error);
      return JSON.stringify({ kind: "unavailable", problem });
    }
  }
}

function parse(text: string): CaSourceState {
  return JSON.parse(text);
}
