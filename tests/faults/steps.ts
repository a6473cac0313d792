import { AsyncLocalStorage } from "node:async_hooks";
import type { DriverPorts } from "../../src/driver/program/compose_volumes.ts";
import type { IssuanceClient } from "../../src/driver/certificates/issuance_client.ts";
import type { Mounter } from "../../src/driver/volume/mounter.ts";
import type { VolumeStore } from "../../src/driver/volume/volume_record.ts";
import { onFileSystemCall, onLibraryCall } from "./system_calls.ts";

export interface StepOptions {
  /** The uid of the pod whose volume's steps count. */
  readonly victim: string;
  /** The step before which the program is killed. */
  readonly dieBefore: string | undefined;
  /** Resolves when the first step may be taken. */
  readonly released: Promise<void>;
  readonly onStep: (name: string) => void;
}

/**
 * Names every change that the driver makes for one volume, in order, and can end the program before each.
 *
 * A step is one call of the kernel's that changes something, named after the port that it was done for.
 */
export class Steps {
  readonly #options: StepOptions;
  readonly #port = new AsyncLocalStorage<string>();
  readonly #times = new Map<string, number>();

  constructor(options: StepOptions) {
    this.#options = options;
    const inPort = (what: string) => {
      const port = this.#port.getStore();
      if (port !== undefined) this.#reach(`${port}: ${what}`);
    };
    onFileSystemCall(inPort);
    onLibraryCall(inPort);
  }

  /** The same ports, with their steps reported. */
  wrap({ mounter, store, issuer }: DriverPorts): DriverPorts {
    const { victim } = this.#options;
    const at = (path: string) => path.includes(victim);
    const wrappedMounter: Mounter = {
      kind: mounter.kind,
      state: (path) => mounter.state(path),
      rejectionReason: (path) => mounter.rejectionReason(path),
      read: (path, names) => mounter.read(path, names),
      publish: (path, files, signal) =>
        this.#run(at(path), "publish", () => mounter.publish(path, files, signal)),
      replace: (path, files) => this.#run(at(path), "replace", () => mounter.replace(path, files)),
      unpublish: (path) => this.#run(at(path), "unpublish", () => mounter.unpublish(path)),
      mounted: () => mounter.mounted(),
    };
    const wrappedStore: VolumeStore = {
      load: () => store.load(),
      save: (record, pem) =>
        this.#run(record.pod.uid === victim, "save", () => store.save(record, pem)),
      remove: (record) =>
        this.#run(record.pod.uid === victim, "remove", () => store.remove(record)),
      removeUnreadable: (record) => store.removeUnreadable(record),
    };
    const wrappedIssuer: IssuanceClient = {
      issue: async (request, signal) => {
        if (request.pod.uid === victim) await this.#options.released;
        return await this.#run(
          request.pod.uid === victim,
          "issue",
          () => issuer.issue(request, signal),
        );
      },
    };
    return { mounter: wrappedMounter, store: wrappedStore, issuer: wrappedIssuer };
  }

  async #run<T>(counts: boolean, port: string, action: () => Promise<T>): Promise<T> {
    if (!counts) return await action();
    this.#reach(`${port}: begin`);
    const result = await this.#port.run(port, action);
    this.#reach(`${port}: end`);
    return result;
  }

  #reach(what: string): void {
    const times = (this.#times.get(what) ?? 0) + 1;
    this.#times.set(what, times);
    const name = times === 1 ? what : `${what} (${times})`;
    if (name === this.#options.dieBefore) Deno.kill(Deno.pid, "SIGKILL");
    this.#options.onStep(name);
  }
}
