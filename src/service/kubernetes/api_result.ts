import { ApiException } from "@kubernetes/client-node";
import { hasUnprintable, truncate } from "../../shared/text/printable_text.ts";
import { describeCall, describeRule, type Permission } from "./permissions.ts";

/** The result of one call to the API server. A problem contains no token and nothing of a Secret. */
export type ApiResult<T> =
  | { readonly kind: "answer"; readonly value: T }
  /** 404. */
  | { readonly kind: "absent" }
  /** 409: the object has changed since it was read. */
  | { readonly kind: "conflict" }
  /** 403: the service's account is not allowed to make this call. */
  | { readonly kind: "forbidden"; readonly problem: string }
  /** The answer is not known now; a retry can succeed. */
  | { readonly kind: "unavailable"; readonly problem: string };

/** A call that was not answered within its time limit. */
export class ApiTimeoutError extends Error {
  constructor(timeoutMs: number) {
    super(`no answer within ${timeoutMs / 1000} s`);
  }
}

/** The longest part of an answer that is quoted. */
const maxQuoted = 300;

/** The result for a status other than 2xx, and what the API server says about it, where it may be quoted. */
export function resultOfStatus(
  code: number,
  permission: Permission,
  statement = "",
): ApiResult<never> {
  const call = describeCall(permission);
  switch (code) {
    case 404:
      return { kind: "absent" };
    case 409:
      return { kind: "conflict" };
    case 403:
      return {
        kind: "forbidden",
        problem: `the service's own account may not ${call}: it lacks ${
          describeRule(permission)
        }${statement}`,
      };
    case 401:
      return unavailable(
        `${call}: the API server does not know the service's own account; ` +
          "its token or certificate has expired or was made for another cluster",
      );
    case 429:
      return unavailable(`${call}: the API server is overloaded (429)`);
    default:
      return unavailable(
        code >= 300 && code < 400
          ? `${call}: the API server answered with a redirect (${code}), which is not followed`
          : `${call}: the API server answered ${code}${statement}`,
      );
  }
}

/**
 * The result for a call that threw. Bodies are not quoted, because they can contain secrets; only what
 * the API server says about a ConfigMap is, because a quota, an admission policy or a size can be the cause.
 */
export function resultOfError(error: unknown, permission: Permission): ApiResult<never> {
  if (error instanceof ApiException) {
    const statement = permission.resource === "configmaps" ? statementOf(error.body) : "";
    return resultOfStatus(error.code, permission, statement);
  }
  const call = describeCall(permission);
  if (error instanceof ApiTimeoutError) return unavailable(`${call}: ${error.message}`);
  if (error instanceof SyntaxError) {
    return unavailable(`${call}: the answer is not a Kubernetes object; is this an API server?`);
  }
  return unavailable(`${call}: ${transportText(error)}`);
}

/** Reports a result that is not an answer as an outage. */
export function toUnavailable(
  answer: Exclude<ApiResult<unknown>, { readonly kind: "answer" }>,
): { kind: "unavailable"; problem: string } {
  switch (answer.kind) {
    case "unavailable":
      return { kind: "unavailable", problem: answer.problem };
    case "forbidden":
      return unavailable(answer.problem);
    case "absent":
      return unavailable("the object does not exist (404)");
    case "conflict":
      return unavailable("the object has changed (409)");
    default:
      return answer satisfies never;
  }
}

export function unavailable(problem: string): { kind: "unavailable"; problem: string } {
  return { kind: "unavailable", problem: `the call to the API server failed: ${problem}` };
}

/** The message of a Status object, shortened; empty where there is none. */
function statementOf(body: unknown): string {
  try {
    const { message } = JSON.parse(String(body));
    if (typeof message !== "string") return "";
    const line = message.replace(/\s+/g, " ").trim();
    return line === "" || hasUnprintable(line) ? "" : `; it says: ${truncate(line, maxQuoted)}`;
  } catch {
    return "";
  }
}

/** What ended the connection, without the address. */
function transportText(error: unknown): string {
  if (!(error instanceof Error)) return "unknown error";
  if (error.cause instanceof Error) return transportText(error.cause);
  const code = "code" in error ? String(error.code) : "";
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") return "its certificate bears another name";
  if (/^(UNABLE_TO_|CERT_|SELF_SIGNED_|DEPTH_ZERO_)/.test(code)) {
    return `the cluster's CA does not verify its certificate (${error.message})`;
  }
  return transportCauses[code] ?? (error.message || error.name);
}

const transportCauses: Readonly<Record<string, string>> = {
  ECONNREFUSED: "the connection was refused",
  ECONNRESET: "the connection was closed",
  EPIPE: "the connection was closed",
  ETIMEDOUT: "the connection timed out",
  EHOSTUNREACH: "there is no route to it",
  ENETUNREACH: "there is no route to it",
  ENOTFOUND: "its name is not known",
  EAI_AGAIN: "its name cannot be resolved now",
};
