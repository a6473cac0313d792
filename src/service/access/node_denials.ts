/** States which client certificates of nodes are rejected although they are valid. */
export interface NodeDenials {
  /** Whether the node's certificate of this notBefore was made before the node was revoked. */
  isDenied(node: string, notBefore: Temporal.Instant): boolean;
  /** Calls back when more certificates may be denied than before. */
  onChange(listener: () => void): Disposable;
}
