/** The endpoint for a connection; undefined while none is ready. */
export type PickEndpoint = () => Promise<Deno.ConnectOptions | undefined>;

/**
 * Passes the connections to a Service's address on to its endpoints, as kube-proxy would. It reads
 * nothing of them. Ends when disposed.
 */
export function serveAddress(address: Deno.ListenOptions, pick: PickEndpoint): Disposable {
  const listener = Deno.listen(address);
  accept(listener, pick).catch((error) => console.error("service proxy:", error));
  return { [Symbol.dispose]: () => listener.close() };
}

async function accept(listener: Deno.Listener, pick: PickEndpoint): Promise<void> {
  for await (const connection of listener) void join(connection, pick);
}

async function join(from: Deno.Conn, pick: PickEndpoint): Promise<void> {
  using _from = from;
  try {
    const endpoint = await pick();
    if (endpoint === undefined) return;
    using to = await Deno.connect(endpoint);
    await Promise.race([from.readable.pipeTo(to.writable), to.readable.pipeTo(from.writable)]);
  } catch {
    // One end has closed, or the endpoint has ended: the caller sees its connection close.
  }
}
