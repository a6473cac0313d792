import { writeAll } from "../../shared/http/write_all.ts";

/** The buffer of one direction: a request has at most 16 KiB, and an answer a few. */
const bufferBytes = 8 * 1024;
/** The limit for all bytes of a client: a handshake, a request, and what is sent after the answer. */
const maxFromClient = 512 * 1024;

type Stream = Pick<Deno.TcpConn, "read" | "write" | "closeWrite">;

/**
 * Copies the client's bytes to the wire and the wire's bytes to the client, until both have closed
 * their side. Rejects when one of them fails or is closed.
 */
export async function relay(client: Stream, wire: Stream): Promise<void> {
  const toClient = async () => {
    for await (const bytes of chunks(wire)) await writeAll(client, bytes);
    await client.closeWrite();
  };
  await Promise.all([toClient(), toWire(client, wire)]);
}

/** Discards what arrives after the wire has ended: closing with unread bytes would reset the answer. */
async function toWire(client: Stream, wire: Stream): Promise<void> {
  let length = 0;
  let isOpen = true;
  for await (const bytes of chunks(client)) {
    length += bytes.length;
    if (length > maxFromClient) throw new Error(`the client sent more than ${maxFromClient} bytes`);
    if (isOpen) isOpen = await writeAll(wire, bytes).then(() => true, () => false);
  }
  if (isOpen) await wire.closeWrite();
}

async function* chunks(stream: Stream): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(bufferBytes);
  for (;;) {
    const count = await stream.read(buffer);
    if (count === null) return;
    yield buffer.subarray(0, count);
  }
}
