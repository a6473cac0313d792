/**
 * The certificate service as it is shipped (the bundle with its permission flags), with honest callers
 * beside whatever attacks it. It is started again when an attack has ended it.
 */
import { createCa, type NewCa } from "../../../src/service/admin/init_ca.ts";
import { serverName } from "../../../src/shared/text/product_names.ts";
import { freePort } from "../../bench/service_process.ts";
import { Program } from "../../support/programs.ts";
import { examplePod, exampleRequest, issueMessage, methodPaths } from "../http2/grpc_request.ts";
import type { ClientIdentity, TlsClientOptions } from "../http2/socket.ts";
import { SuiteCa } from "./authority.ts";
import { attestedIdentity } from "./attestation.ts";
import { AttackedCluster, nodeName, podUid } from "./cluster.ts";
import { HonestCallers } from "../honest/callers.ts";
import type { HonestNode, HonestPlan } from "../honest/calls.ts";
import { isPresent } from "../harness/parts.ts";
import { issuePodIdentity } from "./pod_identity.ts";

export type Authentication = "mtls" | "kubernetes";

/** How many honest nodes there are, and how often each calls. */
const honest = { nodes: 9, callsPerSecond: 3, connectionsPerSecond: 5 };

export interface Running {
  readonly program: Program;
  readonly address: string;
  readonly healthAddress: string;
  readonly attestationAddress: string | undefined;
}

export class AttackedService implements AsyncDisposable {
  readonly authentication: Authentication;
  readonly directory: string;
  readonly ca: NewCa;
  /** What the service's CA may be changed to: its clients verify by both. */
  readonly nextCa: NewCa;
  readonly nodeCa: SuiteCa;
  readonly cluster: AttackedCluster | undefined;
  /** PKCS#10, DER, for any call that issues. */
  readonly certificateRequest: Uint8Array;
  readonly #env: Record<string, string>;
  #running: Running | undefined;
  #callers: HonestCallers | undefined;
  #pod: ClientIdentity | undefined;
  #nodes = new Map<number, HonestNode>();

  private constructor(parts: {
    authentication: Authentication;
    directory: string;
    ca: NewCa;
    nextCa: NewCa;
    nodeCa: SuiteCa;
    cluster: AttackedCluster | undefined;
    certificateRequest: Uint8Array;
    env: Record<string, string>;
  }) {
    this.authentication = parts.authentication;
    this.directory = parts.directory;
    this.ca = parts.ca;
    this.nextCa = parts.nextCa;
    this.nodeCa = parts.nodeCa;
    this.cluster = parts.cluster;
    this.certificateRequest = parts.certificateRequest;
    this.#env = parts.env;
  }

  /** Makes all that the service needs; it is started by `running`. */
  static async prepare(
    authentication: Authentication,
    directory: string,
    env: Record<string, string> = {},
  ): Promise<AttackedService> {
    const ca = await makeCa("Attacked CA");
    const nextCa = await makeCa("Next attacked CA");
    const nodeCa = await SuiteCa.create("Node CA of the suite");
    await Deno.mkdir(directory, { recursive: true });
    const write = async (name: string, text: string) => {
      await Deno.writeTextFile(`${directory}/${name}`, text);
      return `${directory}/${name}`;
    };
    const cluster = authentication === "kubernetes"
      ? await AttackedCluster.start(directory, ca)
      : undefined;
    const material: Record<string, string> = cluster !== undefined
      ? { KUBECONFIG: cluster.kubeconfigFile, CA_SECRET_NAMESPACE: "csi-cert-system" }
      : {
        CLIENT_CA_FILE: await write("node-ca.crt", nodeCa.certificatePem),
        CA_CERT_FILE: await write("ca.crt", ca.certificatePem),
        CA_KEY_FILE: await write("ca.key", ca.privateKeyPem),
      };
    const rotation = { CA_ROTATION_DELAY: "0s" };
    const common = { AUTHENTICATION: authentication, ...rotation, ...material, ...env };
    const certificateRequest = await exampleRequest();
    const parts = { authentication, directory, ca, nextCa, nodeCa, cluster, certificateRequest };
    return new AttackedService({ ...parts, env: common });
  }

  /** What the service's clients verify it by. */
  tls(identity?: ClientIdentity): TlsClientOptions {
    const ca = `${this.ca.certificatePem}${this.nextCa.certificatePem}`;
    return { ca, serverName, identity };
  }

  /** The running program, started if there is none, and whether it was started now. */
  async running(): Promise<Running & { readonly isNew: boolean }> {
    if (this.#running !== undefined) return { ...this.#running, isNew: false };
    const running = this.#running = await this.#start();
    this.#nodes = new Map();
    try {
      this.#callers = await HonestCallers.start(await this.#plan(running));
    } catch (error) {
      await this.end();
      throw error;
    }
    return { ...running, isNew: true };
  }

  get callers(): HonestCallers {
    if (this.#callers === undefined) throw new Error("the service has not been started");
    return this.#callers;
  }

  /** Ends the program, so that the next row has a new one. */
  async end(): Promise<void> {
    this.#callers?.[Symbol.dispose]();
    await this.#running?.program[Symbol.asyncDispose]();
    this.#callers = undefined;
    this.#running = undefined;
  }

  /** How node N shows who it is. */
  async node(n: number): Promise<HonestNode> {
    const known = this.#nodes.get(n);
    if (known !== undefined) return known;
    const made = await this.#makeNode(n);
    this.#nodes.set(n, made);
    return made;
  }

  /** A valid certificate of a pod, as the service itself issues it. */
  async pod(): Promise<ClientIdentity> {
    const { address } = await this.running();
    return this.#pod ??= await issuePodIdentity({
      address,
      tls: this.tls((await this.node(0)).identity),
      token: (await this.node(0)).token,
      pod: this.podOf(0),
    });
  }

  /** The pod for which node N may request certificates. */
  podOf(n: number): typeof examplePod {
    return this.cluster === undefined ? examplePod : {
      ...examplePod,
      name: `web-${n}`,
      uid: podUid(n),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
    await this.cluster?.[Symbol.asyncDispose]();
  }

  async #makeNode(n: number): Promise<HonestNode> {
    if (this.cluster === undefined) return { identity: await this.nodeCa.issueNode(nodeName(n)) };
    const token = this.cluster.token(n);
    const attestation = this.#running?.attestationAddress;
    if (attestation === undefined) return { token };
    return { identity: await attestedIdentity(attestation, this.tls(), token) };
  }

  async #start(): Promise<Running> {
    const attestationAddress = isPresent("attestation") && this.cluster !== undefined
      ? `127.0.0.1:${freePort()}`
      : undefined;
    const program = new Program("cert-service", "bundle", {
      LISTEN_ADDR: "127.0.0.1:0",
      HEALTH_ADDR: "127.0.0.1:0",
      ...attestationAddress ? { ATTESTATION_LISTEN_ADDR: attestationAddress } : {},
      ...this.#env,
    });
    return { program, ...await program.ready(), attestationAddress };
  }

  async #plan({ address, healthAddress }: Running): Promise<HonestPlan> {
    const nodes: HonestPlan["nodes"][number][] = [];
    for (let n = 0; n < honest.nodes; n++) {
      const message = issueMessage(this.certificateRequest, this.podOf(n));
      nodes.push({ ...await this.node(n), message });
    }
    return {
      address,
      healthAddress,
      ...this.tls(),
      nodes,
      path: methodPaths.issue,
      callsPerSecond: honest.callsPerSecond,
      connectionsPerSecond: honest.connectionsPerSecond,
    };
  }
}

async function makeCa(commonName: string): Promise<NewCa> {
  const options = { algorithm: "ecdsa-p256", days: 10, commonName } as const;
  return await createCa(options, Temporal.Now.instant());
}
