import { until } from "../../../scripts/support/kubectl.ts";
import { Pod } from "./pods.ts";

/** What a program has seen of its connections. */
export interface Conversation {
  /** Connections that it made and that were answered. */
  readonly calls: number;
  readonly failures: readonly string[];
  /** Common names of the CAs of its peers. */
  readonly issuers: readonly string[];
}

/** A pod that uses mutual TLS, over a new connection each time and with its volume's newest files. */
export interface CallingPod extends AsyncDisposable {
  readonly pod: Pod;
  conversation(): Promise<Conversation>;
}

/**
 * Certificates that are renewed every quarter of a minute, long before they end: so long may a busy
 * machine take over one connection.
 */
const attributes = { duration: "60s", "renew-before": "45s" };
const port = 8443;

/** The program of tests/e2e/peer: a server, and a client of the peers that a test names. */
export class Peer implements CallingPod {
  readonly pod: Pod;
  readonly #address: string;

  private constructor(pod: Pod, address: string) {
    this.pod = pod;
    this.#address = address;
  }

  static async start(name: string): Promise<Peer> {
    const pod = await Pod.start({ name, attributes, command: ["/usr/bin/peer", "/certs"] });
    const { status } = await pod.object();
    const peer = new Peer(pod, status.podIP);
    await until(`${name} serves`, () => peer.conversation().catch(() => undefined));
    return peer;
  }

  get address(): string {
    return `${this.#address}:${port}`;
  }

  get name(): string {
    return `${this.pod.name}.${this.pod.namespace}.svc.cluster.local`;
  }

  /** Calls the other one from now on, again and again. */
  async call({ name, address }: Peer): Promise<void> {
    await this.#ask(`call?${new URLSearchParams({ name, address })}`);
  }

  async conversation(): Promise<Conversation> {
    const { Calls, Failures, Issuers } = JSON.parse(await this.#ask(""));
    return { calls: Calls, failures: Failures, issuers: Object.keys(Issuers) };
  }

  async #ask(path: string): Promise<string> {
    const response = await fetch(`http://${this.#address}:8080/${path}`);
    return await response.text();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pod.remove();
  }
}

/** A client that starts OpenSSL's s_client for each call. */
export class OpensslClient implements CallingPod {
  readonly pod: Pod;

  private constructor(pod: Pod) {
    this.pod = pod;
  }

  /** Calls the peer from its start on, again and again. */
  static async start(name: string, { name: peer, address }: Peer): Promise<OpensslClient> {
    const script = `trap exit TERM; mkdir /tmp/pair; touch /tmp/calls /tmp/failures /tmp/issuers
while :; do
  # One generation, read whole; when it was swapped meanwhile, there is a newer one to read.
  cp /certs/$(readlink /certs/..data)/* /tmp/pair 2>/dev/null || continue
  answer=$(echo ping | openssl s_client -quiet -connect ${address} -verify_hostname ${peer} \\
    -cert /tmp/pair/tls.crt -key /tmp/pair/tls.key -CAfile /tmp/pair/ca.crt -no-CApath -no-CAstore \\
    -verify_return_error 2>/tmp/words)
  if test "$answer" = pong; then echo >>/tmp/calls
  else echo "$(date) $(tr '\\n' ' ' </tmp/words)" >>/tmp/failures; fi
  # The first certificate above the peer's own.
  grep -o 'depth=1 .*' /tmp/words | sed 's/.*CN = //' >>/tmp/issuers
  sleep 0.05
done`;
    return new OpensslClient(
      await Pod.start({ name, attributes, command: ["/bin/sh", "-c", script] }),
    );
  }

  async conversation(): Promise<Conversation> {
    const output = await this.pod.shell(
      "wc -l </tmp/calls; echo; sort -u /tmp/issuers; echo; cat /tmp/failures",
    );
    const [calls, issuers = "", failures = ""] = output.split("\n\n");
    const lines = (text: string) => text.split("\n").filter((line) => line !== "");
    return { calls: Number(calls), failures: lines(failures), issuers: lines(issuers) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pod.remove();
  }
}
