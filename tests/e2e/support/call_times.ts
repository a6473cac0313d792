import { system } from "../../../scripts/support/install.ts";
import { getJson } from "../../../scripts/support/kubectl.ts";

const method = "/csi.v1.Node/NodePublishVolume";

/** What the driver has counted of its NodePublishVolume calls since it started. */
export class PublishTimes {
  readonly calls: number;
  readonly seconds: number;
  /** How many calls lasted at most each bound in seconds, ascending. */
  readonly #within: readonly (readonly [seconds: number, calls: number])[];

  private constructor(
    calls: number,
    seconds: number,
    within: readonly (readonly [number, number])[],
  ) {
    this.calls = calls;
    this.seconds = seconds;
    this.#within = within;
  }

  /** Now, from the metrics of the node's one driver. */
  static async now(): Promise<PublishTimes> {
    const { items } = await getJson("pods", "-n", system, "-l", "app=csi-cert-driver");
    const response = await fetch(`http://${items[0].status.podIP}:9808/metrics`);
    const text = await response.text();
    const value = (name: string) => {
      const line = text.split("\n").find((line) =>
        line.startsWith(`grpc_server_call_seconds_${name}{`) && line.includes(`"${method}"`)
      );
      return Number(line?.split(" ").at(-1) ?? 0);
    };
    const buckets = text.matchAll(/^grpc_server_call_seconds_bucket\{(.*)\} (\d+)$/gm);
    const within = [...buckets].filter(([, labels = ""]) => labels.includes(`"${method}"`))
      .map(([, labels = "", calls]) => {
        const [, bound = ""] = /le="([^"]*)"/.exec(labels) ?? [];
        return [bound === "+Inf" ? Infinity : Number(bound), Number(calls)] as const;
      });
    return new PublishTimes(value("count"), value("sum"), within);
  }

  /** The calls since an earlier reading. */
  since(earlier: PublishTimes): PublishTimes {
    const before = new Map(earlier.#within);
    return new PublishTimes(
      this.calls - earlier.calls,
      this.seconds - earlier.seconds,
      this.#within.map(([bound, calls]) => [bound, calls - (before.get(bound) ?? 0)]),
    );
  }

  /** The least bound in seconds that this share of the calls did not exceed. */
  bound(share: number): number {
    return this.#within.find(([, calls]) => calls >= this.calls * share)?.[0] ?? NaN;
  }
}
