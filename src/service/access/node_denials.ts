/** Which nodes' certificates an administrator has revoked. */
export interface NodeDenials {
  /** Whether a certificate that is valid from `notBefore` on is revoked for this node. */
  isDenied(node: string, notBefore: Temporal.Instant): boolean;
  /** Calls back each time an answer may have changed, until disposed. */
  onChange(listener: () => void): Disposable;
}
