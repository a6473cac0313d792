import { CertificateService } from "../../../src/shared/gen/certificate_service_pb.ts";
import { type Client, connect } from "../../../src/shared/grpc_client/client.ts";
import { system } from "../../../scripts/support/install.ts";
import { getJson, kubectl } from "../../../scripts/support/kubectl.ts";

/** Where operators call: the Service, or each replica by itself. */
export async function replicaAddresses(): Promise<string[]> {
  const { items } = await getJson("pods", "-n", system, "-l", "app=cert-service");
  return items.map(({ status }: { status: { podIP: string } }) => `${status.podIP}:50051`);
}

/** An account with a token for the service, which a test's end takes away. */
export class Operator implements AsyncDisposable {
  readonly #name: string;
  readonly #token: string;
  readonly #bundle: string;

  private constructor(name: string, token: string, bundle: string) {
    this.#name = name;
    this.#token = token;
    this.#bundle = bundle;
  }

  /** Makes the account, its token and the copy of the trust bundle as the README says. */
  static async create(name: string, audience = "csi-cert-service"): Promise<Operator> {
    await kubectl(["-n", system, "create", "serviceaccount", name]);
    const make = ["create", "token", name, `--audience=${audience}`];
    const token = await kubectl(["-n", system, ...make]);
    const { data } = await getJson("configmap", "csi-cert-trust-bundle", "-n", system);
    return new Operator(name, token.trim(), data["ca.crt"]);
  }

  /** A client that shows the token to whoever serves at the address. */
  client(address: string): Client<typeof CertificateService> & Disposable {
    return connect(CertificateService, {
      address: `https://${address}`,
      serverName: "cert-service.csi-cert-driver.internal",
      trustBundle: () => this.#bundle,
      token: () => Promise.resolve(this.#token),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await kubectl(["-n", system, "delete", "serviceaccount", this.#name]);
  }
}
