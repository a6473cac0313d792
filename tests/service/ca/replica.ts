import { CaController, type CaControllerOptions } from "../../../src/service/ca/ca_controller.ts";
import { CurrentCa } from "../../../src/service/ca/current_ca.ts";
import { NodeCas } from "../../../src/service/ca/node_cas.ts";
import { Scheduler } from "../../../src/shared/scheduler/scheduler.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import { ScriptedDocument, ScriptedSource, start } from "./rotation_fixture.ts";

export const trustDomain = "cluster.local";

/** One replica that watches a source of its own, on a clock that stands still. */
export function openReplica(options: {
  readonly clock?: FakeClock;
  readonly document?: ScriptedDocument;
  readonly check?: CaControllerOptions["check"];
} = {}) {
  const { clock = new FakeClock(start), document = new ScriptedDocument() } = options;
  const source = new ScriptedSource();
  const currentCa = new CurrentCa();
  const nodeCas = new NodeCas(clock);
  const errors: unknown[] = [];
  const onError = (_key: string, error: unknown) => errors.push(error);
  const scheduler = new Scheduler({ clock, onError, random: () => 1 });
  const caController = new CaController({
    source,
    document,
    currentCa,
    scheduler,
    clock,
    delay: Temporal.Duration.from({ minutes: 10 }),
    longestValidity: () => Temporal.Duration.from({ hours: 720 }),
    check: options.check,
    nodes: { trustDomain, cas: nodeCas },
  });
  const stopping = new AbortController();
  const running = caController.run(stopping.signal);
  return {
    clock,
    source,
    document,
    currentCa,
    nodeCas,
    caController,
    errors,
    signs: () => currentCa.material?.issuer.certificate.commonName,
    trusts: () => currentCa.anchors.map(({ commonName }) => commonName).join(),
    [Symbol.asyncDispose]: async () => {
      stopping.abort();
      await running;
      await scheduler[Symbol.asyncDispose]();
    },
  };
}
