import { Node } from "../../src/shared/gen/csi_pb.ts";
import { type Client, connect } from "../../src/shared/grpc_client/client.ts";
import { Kubelet, type PodVolume, publishRequest } from "../support/kubelet.ts";
import { announced, Background } from "./background.ts";
import { programCommand, type Settings } from "./settings.ts";

/** How a driver that is measured is started. */
export interface DriverOptions {
  readonly settings: Settings;
  /** The directory of all files of the driver. */
  readonly directory: string;
  readonly service: { readonly address: string };
  /** A command in place of the shipped bundle. */
  readonly command?: readonly string[];
  readonly env?: Record<string, string>;
}

/** A driver and the calls that a kubelet makes to it. */
export class NodeProcess implements AsyncDisposable {
  readonly process: Background;
  readonly healthAddress: string;
  readonly kubelet: Kubelet;
  readonly client: Client<typeof Node> & Disposable;

  private constructor(
    process: Background,
    healthAddress: string,
    directory: string,
    socket: string,
  ) {
    this.process = process;
    this.healthAddress = healthAddress;
    this.kubelet = new Kubelet(`${directory}/kubelet`);
    this.client = connect(Node, { address: `unix://${socket}` });
  }

  /** Our driver; resolves when it is ready. */
  static async start(options: DriverOptions): Promise<NodeProcess> {
    const { settings, directory, service } = options;
    const socket = `${directory}/csi.sock`;
    await Deno.mkdir(`${directory}/records`, { recursive: true });
    const { process, found } = await Background.start(
      options.command ?? programCommand(settings, "csi-driver"),
      {
        directory,
        env: {
          CSI_ENDPOINT: `unix://${socket}`,
          CERT_SERVICE_ADDR: `http://${service.address}`,
          CERT_BASE_PATH: `${directory}/records`,
          HEALTH_ADDR: "127.0.0.1:0",
          NODE_ID: "bench-node",
          ALLOW_KEYS_ON_DISK: "true",
          ...options.env,
        },
        ready: (output) => announced(output, "ready"),
      },
    );
    return new NodeProcess(process, String(found.healthAddress), directory, socket);
  }

  /** Another driver, which is given its socket as its only argument. */
  static async startOther(directory: string, command: readonly string[]): Promise<NodeProcess> {
    await Deno.mkdir(directory, { recursive: true });
    const socket = `${directory}/csi.sock`;
    const { process } = await Background.start([...command, socket], {
      directory,
      ready: (output) => announced(output, "ready"),
    });
    return new NodeProcess(process, "", directory, socket);
  }

  /** Makes the files that a kubelet makes before it calls. */
  async admit(n: number): Promise<PodVolume> {
    const volume = this.kubelet.admit({ name: `web-${n}`, namespace: "shop" });
    await this.kubelet.note(volume);
    return volume;
  }

  async publish(volume: PodVolume): Promise<void> {
    for (;;) {
      try {
        await this.client.nodePublishVolume(publishRequest(volume), { timeoutMs: 120_000 });
        return;
      } catch (error) {
        // As the kubelet does: an overload is worth another try.
        if (!/too many|RESOURCE_EXHAUSTED|UNAVAILABLE/.test(String(error))) throw error;
        await new Promise((resolve) => setTimeout(resolve, 500));
      }
    }
  }

  async unpublish({ volumeId, targetPath }: PodVolume): Promise<void> {
    await this.client.nodeUnpublishVolume({ volumeId, targetPath }, { timeoutMs: 120_000 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client[Symbol.dispose]();
    await this.process[Symbol.asyncDispose]();
  }
}
