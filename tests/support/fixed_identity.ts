import type {
  ClientIdentity,
  ClientIdentitySource,
} from "../../src/shared/grpc_client/client_identity.ts";

/** An identity that is never replaced. */
export function fixedIdentity(identity: ClientIdentity): ClientIdentitySource {
  return {
    current: () => identity,
    problem: undefined,
    onChange: () => ({ [Symbol.dispose]: () => {} }),
    report: () => {},
  };
}
