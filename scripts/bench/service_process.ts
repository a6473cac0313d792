import type { Ca } from "./authorities.ts";
import { announced, Background } from "./background.ts";
import { programCommand, type Settings } from "./settings.ts";

/** Our service with a CA, as a bundle under its own permissions; resolves when it is ready. */
export async function startService(
  settings: Settings,
  directory: string,
  ca: Ca,
  options: { tls?: boolean; without?: string; env?: Record<string, string> } = {},
): Promise<{ process: Background; address: string; healthAddress: string }> {
  const { process, found } = await Background.start(
    programCommand(settings, "cert-service", options.without),
    {
      directory,
      env: {
        LISTEN_ADDR: "127.0.0.1:0",
        HEALTH_ADDR: "127.0.0.1:0",
        AUTHENTICATION: "none",
        CA_CERT_FILE: ca.certificateFile,
        CA_KEY_FILE: ca.privateKeyFile,
        ...(options.tls ? {} : { TLS: "off" }),
        ...options.env,
      },
      ready: (output) => announced(output, "ready"),
    },
  );
  const { address, healthAddress } = found;
  return { process, address: String(address), healthAddress: String(healthAddress) };
}

/** cfssl's server with the same CA; undefined where it cannot use the CA's key. */
export async function startCfssl(
  directory: string,
  ca: Ca,
): Promise<{ process: Background; url: string } | undefined> {
  const config = `${directory}/cfssl.json`;
  const usages = ["digital signature", "server auth", "client auth"];
  const signing = { default: { usages, expiry: "168h" } };
  await Deno.writeTextFile(config, JSON.stringify({ signing }));
  const port = freePort();
  try {
    const { process } = await Background.start(
      [
        ...["cfssl", "serve", "-address", "127.0.0.1", "-port", String(port), "-config", config],
        ...["-ca", ca.certificateFile, "-ca-key", ca.privateKeyFile],
      ],
      {
        directory,
        ready: (output) => output.includes("Now listening") ? connects(port) : undefined,
      },
    );
    const url = `http://127.0.0.1:${port}/api/v1/cfssl/sign`;
    const probe = await fetch(url, { method: "POST", body: "{}" });
    if (probe.status !== 404) {
      await probe.body?.cancel();
      return { process, url };
    }
    await process.stop();
  } catch {
    // It ends where it does not know the key.
  }
}

/** A port of the loopback that no process listens on. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

async function connects(port: number): Promise<true | undefined> {
  try {
    using _connection = await Deno.connect({ hostname: "127.0.0.1", port });
    return true;
  } catch {
    return undefined;
  }
}

/** The Go program that only signs, with the same CA. */
export async function startGoSigner(
  program: string,
  directory: string,
  ca: Ca,
): Promise<{ process: Background; address: string }> {
  const { process, found } = await Background.start(
    [program, ca.certificateFile, ca.privateKeyFile],
    { directory, ready: (output) => announced(output, "ready") },
  );
  return { process, address: String(found.address) };
}
