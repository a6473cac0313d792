import { maxKeySetBytes } from "../attestation/key_set.ts";
import type { KeySetSource } from "../attestation/key_set_cache.ts";
import type { ApiClient } from "./api_client.ts";
import { toUnavailable } from "./api_result.ts";
import { readTokenKeys } from "./permissions.ts";

/** The API server's own copy of the keys; issuers' addresses on the network are never asked. */
const path = "/openid/v1/jwks";

/** The keys with which the API server signs service accounts' tokens. */
export class ApiServerKeySet implements KeySetSource {
  readonly #connection: ApiClient;

  constructor(connection: ApiClient) {
    this.#connection = connection;
  }

  async read(signal: AbortSignal): ReturnType<KeySetSource["read"]> {
    const answer = await this.#connection.readText(readTokenKeys, path, maxKeySetBytes, signal);
    return answer.kind === "answer"
      ? { kind: "answer", text: answer.value }
      : toUnavailable(answer);
  }
}
