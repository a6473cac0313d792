import type { Caller } from "./authenticator.ts";

/** What a caller may see of the inventory, or why it may not. */
export type AccessDecision =
  | { readonly kind: "allowed"; readonly mayRead: (entry: { node: string | undefined }) => boolean }
  | { readonly kind: "denied"; readonly reason: string }
  | { readonly kind: "unavailable"; readonly reason: string };

const everything = () => true;

/** Who may look into the inventory and revoke: a node sees its own pods' certificates only. */
export async function authorizeOperator(
  caller: Caller,
  action: OperatorAction,
  operators: OperatorAccess | undefined,
  signal: AbortSignal,
): Promise<AccessDecision> {
  switch (caller.kind) {
    case "anonymous":
      return { kind: "allowed", mayRead: everything };
    case "node":
      if (action === "revoke") {
        return { kind: "denied", reason: "nodes may not revoke certificates, only operators may" };
      }
      return { kind: "allowed", mayRead: ({ node }) => node === caller.node };
    case "operator": {
      if (operators === undefined) {
        return { kind: "denied", reason: "this service cannot tell what operators may do" };
      }
      const review = await operators.review(caller.name, action, signal);
      return review.kind === "allowed" ? { kind: "allowed", mayRead: everything } : review;
    }
    default:
      return caller satisfies never;
  }
}
/** What an operator can ask for. */
export type OperatorAction = "list" | "get" | "revoke";

/** Tells what an operator may do; without one, no operator may do anything. */
export interface OperatorAccess {
  review(
    operator: string,
    action: OperatorAction,
    signal: AbortSignal,
  ): Promise<
    | { readonly kind: "allowed" }
    | { readonly kind: "denied"; readonly reason: string }
    | { readonly kind: "unavailable"; readonly reason: string }
  >;
}
