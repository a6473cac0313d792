import { statfs } from "node:fs/promises";
import { Kubelet } from "../support/kubelet.ts";
import { DemoCluster } from "./cluster.ts";
import { shareMounts } from "../support/shared_mount.ts";
import { Program } from "../support/programs.ts";
import { formatAddress } from "../../src/shared/text/network_address.ts";
import type { Form } from "../permissions.ts";

/** tmpfs and ramfs, by their f_type (statfs(2)). */
const inMemoryTypes = new Set([0x01021994, 0x858458f6]);

/** How the demo runs. */
export interface DemoOptions {
  readonly form: Form;
  /** Volumes are plain directories: the programs may not mount. */
  readonly plain: boolean;
  /** The service authenticates the driver and looks pods up, as in a cluster; otherwise it trusts callers. */
  readonly cluster?: boolean;
  /** The loopback address of this machine that is used; 127.0.0.1 unless given. */
  readonly loopback?: string;
}

const nodeName = "demo-node";
const loopback = "127.0.0.1";

/** The processes and files of a demo or a test; disposing it ends and removes all of them. */
export class TestEnvironment implements AsyncDisposable {
  readonly base: string;
  readonly kubelet: Kubelet;
  readonly options: DemoOptions;
  readonly #cluster: DemoCluster | undefined;
  readonly #programs: Program[] = [];
  readonly #sharing: Disposable;
  /** Whether the base is in memory: keys in plain directories then never reach a disk. */
  readonly inMemory: boolean;
  /** A port of this machine that the system chooses. */
  readonly #anyPort: string;
  #listenAddress: string;
  #attestationAddress: string;

  private constructor(
    base: string,
    inMemory: boolean,
    options: DemoOptions,
    cluster: DemoCluster | undefined,
  ) {
    this.base = base;
    this.inMemory = inMemory;
    this.options = options;
    this.#cluster = cluster;
    this.#sharing = shareMounts(base);
    this.#anyPort = formatAddress({ hostname: options.loopback ?? loopback, port: 0 });
    this.#listenAddress = this.#anyPort;
    this.#attestationAddress = this.#anyPort;
    this.kubelet = new Kubelet(`${base}/kubelet`, (volume) => cluster?.admit(volume));
  }

  static async open(options: DemoOptions): Promise<TestEnvironment> {
    // Short, since a socket's path holds at most 107 bytes. Not below /dev, where a program needs
    // every permission there is.
    const prefix = "csi-cert-demo-";
    const dir = Deno.env.get("XDG_RUNTIME_DIR");
    for (const place of dir === undefined ? [{ prefix }] : [{ dir, prefix }, { prefix }]) {
      const base = await Deno.makeTempDir(place).catch(() => undefined);
      if (!base) continue;
      const inMemory = inMemoryTypes.has((await statfs(base)).type);
      await Deno.mkdir(`${base}/kubelet/plugins_registry`, { recursive: true });
      const cluster = options.cluster
        ? await DemoCluster.start(base, nodeName, options.loopback ?? loopback)
        : undefined;
      return new TestEnvironment(base, inMemory, options, cluster);
    }
    throw new Error("no directory for temporary files can be written");
  }

  /** An environment whose service has a CA and this policy. */
  static async withCa(options: DemoOptions, policy = "rules: []\n"): Promise<TestEnvironment> {
    await using undo = new AsyncDisposableStack();
    const environment = undo.use(await TestEnvironment.open(options));
    await environment.command(["init-ca", "--out", environment.caDir]);
    await Deno.writeTextFile(`${environment.base}/policy.yaml`, policy);
    undo.move();
    return environment;
  }

  get recordsDir(): string {
    return `${this.base}/records`;
  }

  get caDir(): string {
    return `${this.base}/ca`;
  }

  get adminSocket(): string {
    return `${this.base}/admin.sock`;
  }

  /** Every line that the programs wrote. */
  get output(): string {
    return this.#programs.map(({ output }) => output).join("\n");
  }

  /** Process ids of programs that may still run. */
  get pids(): number[] {
    return this.#programs.map(({ pid }) => pid);
  }

  /** Runs `cert-service` with a subcommand to its end. */
  async command(args: string[]): Promise<string> {
    const program = this.#start("cert-service", { ADMIN_SOCKET: this.adminSocket }, args);
    const { success, code } = await program.ended();
    if (!success) throw new Error(`cert-service ${args[0]} ended with ${code}:\n${program.tail()}`);
    return program.output;
  }

  /** Runs `csi-driver status` and returns what it prints. */
  async status(): Promise<string> {
    const program = this.#start("csi-driver", this.#driverEnv(), ["status"]);
    const { success, code } = await program.ended();
    if (!success) throw new Error(`csi-driver status ended with ${code}:\n${program.tail()}`);
    return program.output;
  }

  /** Starts the service, with these variables in addition to the usual ones; resolves once it serves. */
  async startService(env: Record<string, string> = {}): Promise<Program> {
    const program = this.#start("cert-service", {
      LISTEN_ADDR: this.#listenAddress,
      HEALTH_ADDR: this.#anyPort,
      CA_CERT_FILE: `${this.caDir}/tls.crt`,
      CA_KEY_FILE: `${this.caDir}/tls.key`,
      ...(this.#cluster?.serviceEnv(this.#attestationAddress) ?? { AUTHENTICATION: "none" }),
      MIN_VALIDITY: "10s",
      POLICY_FILE: `${this.base}/policy.yaml`,
      ADMIN_SOCKET: this.adminSocket,
      ...env,
    });
    // A restarted service is found where the first one was.
    const { address, attestationAddress } = await program.ready();
    this.#listenAddress = address;
    if (this.#cluster) this.#attestationAddress = attestationAddress;
    return program;
  }

  /** As startService, for the driver. */
  async startDriver(env: Record<string, string> = {}, entry?: string): Promise<Program> {
    const program = this.launchDriver(env, entry);
    await program.ready();
    return program;
  }

  /** Starts both programs and registers the driver with the kubelet. */
  async startPrograms(): Promise<{ service: Program; driver: Program }> {
    const service = await this.startService();
    const driver = await this.startDriver();
    await this.kubelet.register();
    return { service, driver };
  }

  /** Starts the driver and waits for nothing; `entry` is a file that composes it for a test. */
  launchDriver(env: Record<string, string> = {}, entry?: string): Program {
    return this.#start("csi-driver", { ...this.#driverEnv(), ...env }, [], entry);
  }

  /** The last lines of each program's log. */
  tails(): string {
    return this.#programs.slice(-3).map((program) =>
      `--- ${program.name} (process ${program.pid}), its last lines:\n${program.tail()}`
    ).join("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#programs.map((program) => program.stop("SIGKILL")));
    await this.#cluster?.[Symbol.asyncDispose]();
    await unmountBelow(this.base);
    this.#sharing[Symbol.dispose]();
    await Deno.remove(this.base, { recursive: true });
  }

  #start(
    name: Program["name"],
    env: Record<string, string>,
    args: string[] = [],
    entry?: string,
  ): Program {
    const program = new Program(name, this.options.form, env, args, entry);
    this.#programs.push(program);
    return program;
  }

  #driverEnv(): Record<string, string> {
    const needsConsent = this.options.plain && !this.inMemory;
    return {
      CSI_ENDPOINT: `unix://${this.base}/csi.sock`,
      REGISTRATION_DIR: this.kubelet.registrationDir,
      CERT_SERVICE_ADDR: `https://${this.#listenAddress}`,
      CERT_SERVICE_CA_FILE: `${this.caDir}/tls.crt`,
      CERT_BASE_PATH: this.recordsDir,
      HEALTH_ADDR: this.#anyPort,
      NODE_ID: nodeName,
      ...this.#cluster?.driverEnv(this.#attestationAddress),
      ...(needsConsent ? { ALLOW_KEYS_ON_DISK: "true" } : {}),
    };
  }
}

/** Mount points below a directory, as the kernel lists them. */
export async function mountsBelow(directory: string): Promise<string[]> {
  try {
    const text = await Deno.readTextFile("/proc/self/mountinfo");
    return text.split("\n").flatMap((line) => line.split(" ")[4] ?? []).filter((path) =>
      path.startsWith(`${directory}/`)
    );
  } catch {
    // No such file where the system is not Linux: nothing was mounted there either.
    return [];
  }
}

async function unmountBelow(directory: string): Promise<void> {
  for (const path of (await mountsBelow(directory)).reverse()) {
    await new Deno.Command("umount", { args: ["--lazy", path], stderr: "null" }).output();
  }
}
