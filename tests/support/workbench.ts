import { requiringTest } from "./requirement.ts";
import { temporaryFolder } from "./temporary_folder.ts";

/** A temporary folder in which real programs work on files by their names. */
export class Workbench implements AsyncDisposable {
  readonly #folder: AsyncDisposable & { path: string };

  private constructor(folder: AsyncDisposable & { path: string }) {
    this.#folder = folder;
  }

  static async create(): Promise<Workbench> {
    return new Workbench(await temporaryFolder());
  }

  get path(): string {
    return this.#folder.path;
  }

  write(name: string, text: string): Promise<void> {
    return Deno.writeTextFile(`${this.#folder.path}/${name}`, text);
  }

  read(name: string): Promise<string> {
    return Deno.readTextFile(`${this.#folder.path}/${name}`);
  }

  /** Runs a program to its end; returns both outputs as one text. */
  async run(program: string, ...args: string[]): Promise<{ success: boolean; output: string }> {
    const command = new Deno.Command(program, { args, cwd: this.#folder.path, stdin: "null" });
    const { success, stdout, stderr } = await command.output();
    return { success, output: [stdout, stderr].map((it) => new TextDecoder().decode(it)).join("") };
  }

  /** Runs openssl, which has to succeed, and returns what it wrote. */
  async openssl(...args: string[]): Promise<string> {
    const { success, output } = await this.run("openssl", ...args);
    if (!success) throw new Error(`openssl ${args.join(" ")}: ${output}`);
    return output;
  }

  /** A self-signed CA as `openssl req -x509` makes it; `options` follow the usual ones. */
  async opensslCa(options: string[]): Promise<{ certificatePem: string; privateKeyPem: string }> {
    const files = ["-keyout", "ca.key", "-out", "ca.crt", "-days", "30", "-nodes"];
    await this.openssl("req", "-x509", "-subj", "/CN=Test CA", ...files, ...options);
    // With a key of its own ("-key") openssl writes none.
    const privateKeyPem = await this.read(options.includes("-key") ? keyOf(options) : "ca.key");
    return { certificatePem: await this.read("ca.crt"), privateKeyPem };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#folder[Symbol.asyncDispose]();
  }
}

function keyOf(options: string[]): string {
  return options[options.indexOf("-key") + 1] ?? "ca.key";
}

/** A test that needs a program: where that is missing it is ignored, and its name states the reason. */
export function testWith(
  program: "openssl" | "certtool" | "node" | "javac" | "gofmt",
  name: string,
  body: (bench: Workbench) => Promise<void>,
): void {
  const requirement = { isMet: isOnPath(program), reason: `no ${program} on the PATH` };
  requiringTest(name, requirement, async () => {
    await using bench = await Workbench.create();
    await body(bench);
  });
}

function isOnPath(program: string): boolean {
  return (Deno.env.get("PATH") ?? "").split(":").some((folder) => {
    try {
      return Deno.statSync(`${folder}/${program}`).isFile;
    } catch {
      return false;
    }
  });
}
