/** Bytes in, lines of text out. */
export class TextLineStream implements TransformStream<Uint8Array, string> {
  readonly readable: ReadableStream<string>;
  readonly writable: WritableStream<Uint8Array>;

  constructor() {
    const decoder = new TextDecoder();
    let rest = "";
    const { readable, writable } = new TransformStream<Uint8Array, string>({
      transform(bytes, controller) {
        const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) controller.enqueue(line);
      },
      flush(controller) {
        if (rest !== "") controller.enqueue(rest);
      },
    });
    this.readable = readable;
    this.writable = writable;
  }
}
