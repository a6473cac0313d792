import { maxKeySetBytes } from "../attestation/key_set.ts";
import type { KeySetSource } from "../attestation/key_set_cache.ts";
import type { ApiClient } from "./api_client.ts";
import { toUnavailable } from "./api_result.ts";
import { readTokenKeys } from "./permissions.ts";

/**
 * The keys with which the API server signs service account tokens, in its own copy: the service never
 * connects to the address of a token's issuer.
 */
export function apiServerKeySet(client: ApiClient): KeySetSource {
  return {
    read: async (signal) => {
      const answer = await client.readText(readTokenKeys, maxKeySetBytes, signal);
      return answer.kind === "answer"
        ? { kind: "answer", text: answer.value }
        : toUnavailable(answer);
    },
  };
}
