/** Label names and values, which distinguish the series of one metric; few values each. */
export type Labels = Readonly<Record<string, string>>;

/** Counts up; a series is exposed once it was added to, be it nothing. */
export interface Counter {
  /** Throws RangeError for a negative amount. */
  add(amount?: number, labels?: Labels): void;
}

/** Goes up and down. */
export interface Gauge {
  set(value: number, labels?: Labels): void;
  /** Takes a series back: there is no value for now. */
  clear(labels?: Labels): void;
}

/** Counts observations by size. */
export interface Histogram {
  observe(value: number, labels?: Labels): void;
}

/** A program's metrics, in the Prometheus text format 0.0.4. Names that it refuses throw TypeError. */
export class Metrics {
  /** By metric name: what is exposed of it now. */
  readonly #metrics = new Map<string, () => string[]>();

  counter(name: string, help: string): Counter {
    const series = this.#values(name, help, "counter");
    return {
      add: (amount = 1, labels = {}) => {
        if (!(amount >= 0)) throw new RangeError(`${name} counts up and cannot take ${amount}`);
        const key = format(labels);
        series.set(key, (series.get(key) ?? 0) + amount);
      },
    };
  }

  gauge(name: string, help: string): Gauge {
    const series = this.#values(name, help, "gauge");
    return {
      set: (value, labels = {}) => void series.set(format(labels), value),
      clear: (labels = {}) => void series.delete(format(labels)),
    };
  }

  /** Buckets are upper bounds, ascending; the one without a bound is added. */
  histogram(name: string, help: string, buckets: readonly number[]): Histogram {
    if (buckets.some((bound, index) => !(bound > (buckets[index - 1] ?? -Infinity)))) {
      throw new TypeError(`the buckets of ${name} do not ascend: ${buckets.join(", ")}`);
    }
    const bounds = buckets.at(-1) === Infinity ? buckets : [...buckets, Infinity];
    const series = new Map<string, { labels: Labels; counts: number[]; sum: number }>();
    this.#add(
      name,
      help,
      "histogram",
      () =>
        [...series].flatMap(([key, { labels, counts, sum }]) => {
          // Each bucket counts the smaller ones too.
          let count = 0;
          const buckets = bounds.map((bound, index) => {
            count += counts[index] ?? 0;
            return `${name}_bucket${format({ ...labels, le: number(bound) })} ${count}`;
          });
          return [...buckets, `${name}_sum${key} ${number(sum)}`, `${name}_count${key} ${count}`];
        }),
    );
    return {
      observe: (value, labels = {}) => {
        if ("le" in labels) throw new TypeError(`${name}: the label le names the buckets`);
        const key = format(labels);
        const known = series.get(key) ?? { labels, counts: bounds.map(() => 0), sum: 0 };
        const bucket = bounds.findIndex((bound) => value <= bound);
        // What compares with nothing is in the last.
        known.counts[bucket < 0 ? bounds.length - 1 : bucket]! += 1;
        known.sum += value;
        series.set(key, known);
      },
    };
  }

  /** The text that a scrape is answered with. */
  expose(): string {
    return [...this.#metrics.values()].flatMap((lines) => lines()).map((line) => `${line}\n`).join(
      "",
    );
  }

  #values(name: string, help: string, type: string): Map<string, number> {
    const series = new Map<string, number>();
    const samples = () => [...series].map(([key, value]) => `${name}${key} ${number(value)}`);
    this.#add(name, help, type, samples);
    return series;
  }

  #add(name: string, help: string, type: string, samples: () => string[]): void {
    if (!/^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(name)) throw new TypeError(`no metric name: ${name}`);
    if (this.#metrics.has(name)) throw new TypeError(`the metric ${name} exists already`);
    const head = [`# HELP ${name} ${escape(help)}`, `# TYPE ${name} ${type}`];
    this.#metrics.set(name, () => [...head, ...samples()]);
  }
}

/** The labels in the order of their names, so that equal ones are one series. */
function format(labels: Labels): string {
  const pairs = Object.keys(labels).sort().map((name) => {
    if (!/^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$/.test(name)) throw new TypeError(`no label name: ${name}`);
    return `${name}="${escape(labels[name] ?? "").replaceAll('"', '\\"')}"`;
  });
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escape(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function number(value: number): string {
  if (value === Infinity) return "+Inf";
  return value === -Infinity ? "-Inf" : String(value);
}
