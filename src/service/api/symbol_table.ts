import type { DescEnum, DescFile, DescMessage, DescService } from "@bufbuild/protobuf";

/** Finds the file that declares a symbol, in a set of files and all their imports. */
export class SymbolTable {
  readonly #files = new Map<string, DescFile>();
  readonly #symbols = new Map<string, DescFile>();

  constructor(files: Iterable<DescFile>) {
    for (const file of files) this.#add(file);
  }

  /** By the name that import statements use, "google/protobuf/timestamp.proto". */
  fileNamed(name: string): DescFile | undefined {
    return this.#files.get(name);
  }

  /** By the full name of a message, enum, service, method, field, oneof or enum value. */
  fileDeclaring(symbol: string): DescFile | undefined {
    return this.#symbols.get(symbol);
  }

  #add(file: DescFile): void {
    if (this.#files.has(file.proto.name)) return;
    this.#files.set(file.proto.name, file);
    for (const message of file.messages) this.#addMessage(message);
    for (const enumeration of file.enums) this.#addEnum(enumeration);
    for (const service of file.services) this.#addService(service);
    for (const imported of file.dependencies) this.#add(imported);
  }

  #addMessage(message: DescMessage): void {
    const { file, typeName } = message;
    this.#symbols.set(typeName, file);
    for (const { name } of [...message.fields, ...message.oneofs]) {
      this.#symbols.set(`${typeName}.${name}`, file);
    }
    for (const nested of message.nestedMessages) this.#addMessage(nested);
    for (const nested of message.nestedEnums) this.#addEnum(nested);
  }

  #addEnum({ file, typeName, values }: DescEnum): void {
    this.#symbols.set(typeName, file);
    // The values of an enum belong to the scope that contains the enum.
    const scope = typeName.slice(0, typeName.lastIndexOf(".") + 1);
    for (const { name } of values) this.#symbols.set(scope + name, file);
  }

  #addService({ file, typeName, methods }: DescService): void {
    this.#symbols.set(typeName, file);
    for (const { name } of methods) this.#symbols.set(`${typeName}.${name}`, file);
  }
}
