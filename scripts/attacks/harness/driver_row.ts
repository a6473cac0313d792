/** Runs one row against the driver, while its kubelet calls it. */
import { AttackedDriver, driverEnvironment } from "../programs/driver.ts";
import { type HonestSummary, summarizeSamples } from "../honest/calls.ts";
import { largestLag, readLag, resetPeak } from "./process_state.ts";
import { budgetOf, type DriverRow } from "./row.ts";
import type { AttackedService } from "../programs/service.ts";
import { outcomeOf, pause, type RunOutcome, watchMemory } from "./service_row.ts";
import { errorMessage } from "../../../src/shared/text/error_message.ts";

const probesPerSecond = 10;
const settleMs = 300;

/** The drivers of a run: one for the rows against its sockets, one for each malicious service. */
export class AttackedDrivers implements AsyncDisposable {
  readonly #service: AttackedService;
  readonly #directory: string;
  #shared: AttackedDriver | undefined;
  #count = 0;

  constructor(service: AttackedService, directory: string) {
    this.#service = service;
    this.#directory = directory;
  }

  async run(
    row: DriverRow,
    { ms }: { ms: number },
  ): Promise<RunOutcome> {
    if (row.service === undefined) {
      const driver = this.#shared ??= await this.#startHonest();
      const result = await runAgainst(driver, row, ms);
      if (result.seen.exitCode !== undefined || row.endsDriver === true) await this.#endShared();
      return result;
    }
    await using service = await row.service();
    await using driver = await this.#start({ CERT_SERVICE_ADDR: `http://${service.address}` });
    return await runAgainst(driver, row, ms);
  }

  /** A driver of the honest service, with a node's certificate. */
  async #startHonest(): Promise<AttackedDriver> {
    const { address } = await this.#service.running();
    const options = { address, node: 8, directory: this.#directory };
    return await this.#start(await driverEnvironment(this.#service, options));
  }

  async #start(env: Record<string, string>): Promise<AttackedDriver> {
    return await AttackedDriver.start({ directory: `${this.#directory}/${this.#count++}`, env });
  }

  async #endShared(): Promise<void> {
    await this.#shared?.[Symbol.asyncDispose]();
    this.#shared = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#endShared();
  }
}

async function runAgainst(
  driver: AttackedDriver,
  row: DriverRow,
  ms: number,
): Promise<RunOutcome> {
  const { program, healthAddress } = driver;
  let exitCode: number | undefined;
  program.ended().then(({ code }) => exitCode = code);
  const isAlive = () => exitCode === undefined;
  await resetPeak(program.pid);
  const lagBefore = await readLag(healthAddress);
  using memory = watchMemory(program.pid, () => program.signal("SIGKILL"));
  await memory.look();
  const probes = probe(driver);
  const attack = { ...budgetOf(ms), driver, isAlive };
  const { note, failure, isInconclusive } = await outcomeOf(() => row.run(attack), attack);
  await pause(settleMs);
  const honest = await probes.stop();
  await memory.look();
  const lag = isAlive() ? largestLag(lagBefore, await readLag(healthAddress)) : undefined;
  const seen = {
    exitCode,
    memoryMiB: memory.largest,
    lag,
    honest,
    quietP99Ms: 0,
    failure,
    isInconclusive: isInconclusive === true,
  };
  return { seen, note };
}

/** A kubelet's calls and its probe, at a steady rate until stopped. */
function probe(driver: AttackedDriver): { stop(): Promise<HonestSummary> } {
  const calls: number[] = [];
  const callFailures: string[] = [];
  const livez: number[] = [];
  const livezFailures: string[] = [];
  const ownLags: number[] = [];
  const pending = new Set<Promise<void>>();
  let due = performance.now() + 1000 / probesPerSecond;
  const sample = async (times: number[], failures: string[], act: () => Promise<void>) => {
    const began = performance.now();
    try {
      await act();
      times.push(performance.now() - began);
    } catch (error) {
      failures.push(errorMessage(error));
    }
  };
  const once = async () => {
    await sample(calls, callFailures, async () => {
      const { failure, grpcStatus } = await driver.capabilities();
      if (grpcStatus !== "0") throw new Error(failure ?? `status ${grpcStatus}`);
    });
    await sample(livez, livezFailures, async () => {
      const url = `http://${driver.healthAddress}/livez`;
      const response = await fetch(url, { signal: AbortSignal.timeout(5_000) });
      await response.body?.cancel();
      if (response.status !== 200) throw new Error(`/livez answered ${response.status}`);
    });
  };
  const timer = setInterval(() => {
    const now = performance.now();
    ownLags.push(Math.max(0, now - due));
    due = now + 1000 / probesPerSecond;
    const acting = once().finally(() => pending.delete(acting));
    pending.add(acting);
  }, 1000 / probesPerSecond);
  return {
    stop: async () => {
      clearInterval(timer);
      await Promise.all(pending);
      const none = { connections: [], connectionFailures: [] };
      return summarizeSamples({ calls, callFailures, livez, livezFailures, ownLags, ...none });
    },
  };
}
