/**
 * Waits for a moment, in which a client may try to connect again. grpc-js's backoff is a timer of its
 * own, so there is no clock to inject.
 */
export function connectionAttempt(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 20));
}

/** Calls until the client has connected again, and returns the answer. Rejects when that takes 20 seconds. */
export async function firstAnswer<T>(call: () => Promise<T>): Promise<T> {
  for (let attempts = 1;; attempts++) {
    try {
      return await call();
    } catch (error) {
      if (attempts === 1_000) throw error;
      await connectionAttempt();
    }
  }
}
