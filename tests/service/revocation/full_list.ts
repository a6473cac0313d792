import type { DenialKind } from "../../../src/service/revocation/denial_format.ts";

/** As many denials as the list contains at most. */
export function fill<D>({ format, maxBytes }: DenialKind<D>, make: (at: number) => D): D[] {
  const denials: D[] = [];
  for (let bytes = format([]).length; bytes <= maxBytes;) {
    denials.push(make(denials.length));
    bytes += format(denials.slice(-1)).length - format([]).length + 1;
  }
  return denials.slice(0, -1);
}
