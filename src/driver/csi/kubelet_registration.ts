import { getLogger } from "@logtape/logtape";
import type { Clock } from "../../shared/scheduler/clock.ts";

const logger = getLogger(["csi-driver", "registration"]);
/** A kubelet registers a driver within two seconds of finding its socket. */
const registeredWithinMs = 60_000;

/** Whether the kubelet has registered the driver: without that it never calls it. */
export class KubeletRegistration implements Disposable {
  readonly #clock: Clock;
  readonly #directory: string;
  #timer: Disposable | undefined;
  #problem: string | undefined;

  constructor(clock: Clock, directory: string) {
    this.#clock = clock;
    this.#directory = directory;
  }

  /** The registration socket is being served: the kubelet should call soon. */
  expect(): void {
    this.#timer = this.#clock.after(registeredWithinMs, () => {
      this.#problem = `the kubelet has not registered this driver, and does not call it: ` +
        `REGISTRATION_DIR ${this.#directory} has to be the kubelet's plugins_registry`;
      logger.warn("{problem}", { problem: this.#problem });
    });
  }

  /** Receives what the kubelet reports: why it refused the driver, or undefined when it registered it. */
  report(refusal: string | undefined): void {
    this.#timer?.[Symbol.dispose]();
    this.#problem = refusal === undefined
      ? undefined
      : `the kubelet refused the registration: ${refusal}`;
  }

  /** A line for /readyz; undefined while the driver is registered, or may still be. */
  get problem(): string | undefined {
    return this.#problem;
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
  }
}
