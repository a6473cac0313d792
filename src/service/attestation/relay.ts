import { writeAll } from "../../shared/http/write_all.ts";

/** One direction's buffer: a request has at most 16 KiB, and an answer a few. */
const bufferBytes = 8 * 1024;
/** From the client in all: a handshake, a request, and what is sent after an answer. */
const mostFromClient = 512 * 1024;

type Stream = Pick<Deno.TcpConn, "read" | "write" | "closeWrite">;

/**
 * Carries a client's bytes to the wire and the wire's back, until the wire has ended and the client
 * has closed its side too. Rejects when one of them breaks or is closed.
 */
export async function relay(client: Stream, wire: Stream): Promise<void> {
  const toClient = async () => {
    for await (const bytes of chunks(wire)) await writeAll(client, bytes);
    await client.closeWrite();
  };
  await Promise.all([toClient(), toWire(client, wire)]);
}

/** What comes after the wire has ended is dropped: closing with unread bytes would reset the answer. */
async function toWire(client: Stream, wire: Stream): Promise<void> {
  let length = 0;
  let isOpen = true;
  for await (const bytes of chunks(client)) {
    length += bytes.length;
    if (length > mostFromClient) throw new Error("the client does not stop sending");
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
