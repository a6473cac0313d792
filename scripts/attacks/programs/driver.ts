/**
 * The driver as it is shipped (the bundle with its permission flags), with its kubelet beside whatever
 * attacks it. It needs no mounts: keys are permitted in a plain directory.
 */
import { create, type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  NodeGetCapabilitiesRequestSchema,
  NodePublishVolumeRequestSchema,
  NodeUnpublishVolumeRequestSchema,
} from "../../../src/shared/gen/csi_pb.ts";
import { Kubelet, type PodVolume, publishRequest } from "../../support/kubelet.ts";
import { Program } from "../../support/programs.ts";
import { type Answer, RawConnection } from "../http2/connection.ts";
import { grpcHeaders, grpcMessage } from "../http2/grpc_request.ts";
import type { AttackedService } from "./service.ts";
import { driverName } from "../../../src/shared/text/product_names.ts";

export interface DriverOptions {
  readonly directory: string;
  readonly env: Readonly<Record<string, string>>;
}

/** The variables of a driver that calls the service as node N, with that node's certificate. */
export async function driverEnvironment(
  service: AttackedService,
  { address, node, directory }: { address: string; node: number; directory: string },
): Promise<Record<string, string>> {
  const { identity } = await service.node(node);
  await Deno.mkdir(directory, { recursive: true });
  const write = async (name: string, text = "") => {
    await Deno.writeTextFile(`${directory}/${name}`, text);
    return `${directory}/${name}`;
  };
  return {
    CERT_SERVICE_ADDR: `https://${address}`,
    CERT_SERVICE_CA_FILE: await write("service-ca.crt", service.ca.certificatePem),
    CERT_SERVICE_CLIENT_CERT_FILE: await write("driver.crt", identity?.certificatePem),
    CERT_SERVICE_CLIENT_KEY_FILE: await write("driver.key", identity?.privateKeyPem),
  };
}

const csi = "/csi.v1.Node/";
const callMs = 5_000;

export class AttackedDriver implements AsyncDisposable {
  readonly program: Program;
  readonly healthAddress: string;
  /** "unix:///path" of the sockets that the kubelet calls. */
  readonly csiAddress: string;
  readonly registrationAddress: string;
  readonly #kubelet: Kubelet;
  #volumes = 0;

  private constructor(program: Program, healthAddress: string, directory: string) {
    this.program = program;
    this.healthAddress = healthAddress;
    this.csiAddress = `unix://${directory}/csi.sock`;
    const registration = `${directory}/kubelet/plugins_registry/${driverName}-reg.sock`;
    this.registrationAddress = `unix://${registration}`;
    this.#kubelet = new Kubelet(`${directory}/kubelet`);
  }

  static async start({ directory, env }: DriverOptions): Promise<AttackedDriver> {
    await Deno.mkdir(`${directory}/records`, { recursive: true });
    await Deno.mkdir(`${directory}/kubelet/plugins_registry`, { recursive: true });
    const program = new Program("csi-driver", "bundle", {
      CSI_ENDPOINT: `unix://${directory}/csi.sock`,
      REGISTRATION_DIR: `${directory}/kubelet/plugins_registry`,
      CERT_BASE_PATH: `${directory}/records`,
      HEALTH_ADDR: "127.0.0.1:0",
      NODE_ID: "node-9",
      ALLOW_KEYS_ON_DISK: "true",
      ...env,
    });
    const { healthAddress } = await program.ready();
    return new AttackedDriver(program, healthAddress, directory);
  }

  /** Publishes a new pod's volume. */
  async publish(timeoutMs = callMs): Promise<{ answer: Answer; volume: PodVolume }> {
    const volume = this.#kubelet.admit({ name: `web-${this.#volumes++}`, namespace: "shop" });
    await this.#kubelet.note(volume);
    const request = publishRequest(volume);
    const answer = await this.#call(
      "NodePublishVolume",
      NodePublishVolumeRequestSchema,
      request,
      timeoutMs,
    );
    return { answer, volume };
  }

  async unpublish({ volumeId, targetPath }: PodVolume): Promise<Answer> {
    const request = { volumeId, targetPath };
    return await this.#call("NodeUnpublishVolume", NodeUnpublishVolumeRequestSchema, request);
  }

  /** What a kubelet asks before each publish, on a connection of its own. */
  async capabilities(): Promise<Answer> {
    return await this.#call("NodeGetCapabilities", NodeGetCapabilitiesRequestSchema, {});
  }

  async #call<S extends DescMessage>(
    method: string,
    schema: S,
    request: MessageInitShape<S>,
    timeoutMs = callMs,
  ): Promise<Answer> {
    using connection = await RawConnection.open({ address: this.csiAddress });
    const message = grpcMessage(toBinary(schema, create(schema, request)));
    return await connection.request(grpcHeaders(`${csi}${method}`), message, timeoutMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.program[Symbol.asyncDispose]();
  }
}
