// The main job on this machine: both programs as processes, and this script as their kubelet.

import { bundleAll } from "./bundle.ts";
import { heading, note, shown } from "./demo/console.ts";
import { type DemoOptions, TestEnvironment } from "./demo/test_environment.ts";
import {
  inspect,
  policy,
  publishPods,
  renewals,
  republish,
  shortLifetime,
  unpublish,
} from "./demo/scenario.ts";
import { privateNamespace } from "./mount_namespace.ts";
import { errorMessage } from "../src/shared/text/error_message.ts";
import { taskArguments } from "./support/task_options.ts";

const { options: flags } = taskArguments({
  name: "demo",
  options: {
    bundle: { type: "boolean", help: "run the minified bundles instead of the TypeScript" },
    plain: { type: "boolean", help: "do not mount: volumes are plain directories" },
    // Set by the demo itself when it has started itself again where it may mount.
    inside: { type: "boolean" },
  },
});

async function scenario(environment: TestEnvironment, signal: AbortSignal): Promise<string> {
  const step = <T>(text: string, action: () => Promise<T>): Promise<T> => {
    signal.throwIfAborted();
    heading(text);
    return abortable(action(), signal);
  };
  await step("1. A throw-away CA, and both programs", async () => {
    await environment.command([
      "init-ca",
      "--out",
      environment.caDir,
      "--days",
      "30",
      "--subject",
      "Demo CA",
    ]);
    await Deno.writeTextFile(`${environment.base}/policy.yaml`, policy);
    shown("cert-service init-ca made a CA, valid for 30 days");
  });
  let programs = await step("2. The programs start, the kubelet finds the driver", async () => {
    const service = await environment.startService();
    const driver = await environment.startDriver();
    const { name, nodeId } = await environment.kubelet.register();
    shown(`cert-service is process ${service.pid}, csi-driver is process ${driver.pid}`);
    shown(`registered as ${name} on node ${nodeId}`);
    const { node, notAfter } = await service.logged(({ action }) => action === "attest");
    shown(`${node} attested with its token: its client certificate is valid until ${notAfter}`);
    return { service, driver };
  });
  const volumes = await step("3. Pods are scheduled to the node", () => publishPods(environment));
  await step("4. What a pod sees", () => inspect(environment, volumes));
  await step("5. The kubelet publishes again", () => republish(environment, volumes));
  await step("6. The service's certificates, as cert-service list prints them", async () => {
    for (const line of (await environment.command(["list", "--namespace", "shop"])).split("\n")) {
      note(line);
    }
  });
  const courier = volumes.at(-1);
  if (!courier) throw new Error("no volume was published");
  const result = await step(
    `7. Renewal of courier's certificate, which lives ${shortLifetime}`,
    () => renewals(environment, courier, programs),
  );
  programs = result;
  await step("8. This node's volumes, as csi-driver status prints them", async () => {
    for (const line of (await environment.status()).split("\n")) note(line);
  });
  await step("9. The pods are deleted", () => unpublish(environment, volumes));
  await step("10. The programs stop", async () => {
    for (const program of [programs.driver, programs.service]) {
      const { code } = await program.stop("SIGTERM");
      if (code !== 0) throw new Error(`${program.name} ended with ${code}:\n${program.tail()}`);
    }
    if (/PRIVATE KEY/.test(environment.output)) throw new Error("a private key is in a log");
    shown("both ended with code 0 on SIGTERM; no key is in their output");
  });
  return `${volumes.length} certificates issued into ${
    environment.options.plain ? "plain directories" : "volumes mounted read-only"
  }, 3 renewals (2 of them right after kill -9), ${result.reads} reads that all saw a matching pair, ` +
    "nothing left behind";
}

/** Stops waiting for an action when the signal is aborted; disposing the environment stops it. */
function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  return Promise.race([promise, aborted]).finally(() => signal.removeEventListener("abort", abort));
}

async function perform(options: DemoOptions): Promise<number> {
  const interrupted = new AbortController();
  const interrupt = () => interrupted.abort(new Error("interrupted"));
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    Deno.addSignalListener(name, interrupt);
  }
  const started = performance.now();
  try {
    await using environment = await TestEnvironment.open(options);
    if (options.plain) {
      note(
        `No mounts: volumes are plain directories in ${environment.base}${
          environment.inMemory
            ? ", which is in memory"
            : ", ON A DISK: fit for a throw-away CA only"
        }.`,
      );
    }
    let line: string;
    try {
      line = await scenario(environment, interrupted.signal);
    } catch (error) {
      if (!interrupted.signal.aborted) console.error(environment.tails());
      throw error;
    }
    const seconds = Math.round((performance.now() - started) / 1000);
    console.log(`\ndemo: ${line} (${seconds} s)`);
    return 0;
  } catch (error) {
    if (interrupted.signal.aborted) {
      console.error("\ndemo: interrupted; its processes and files are removed");
      return 130;
    }
    const reason = errorMessage(error);
    console.error(`\ndemo: failed: ${reason}`);
    return 1;
  }
}

if (import.meta.main) {
  if (flags.bundle && !flags.inside) await bundleAll();
  const namespace = flags.plain || flags.inside ? undefined : await privateNamespace();
  if (namespace) {
    note(
      `Mounts are made in a private mount namespace (${namespace.description}): they go with it.`,
    );
    const child = new Deno.Command(namespace.command, {
      args: [
        ...namespace.args,
        Deno.execPath(),
        "run",
        "-A",
        import.meta.filename!,
        "--inside",
        ...Deno.args,
      ],
    }).spawn();
    // The child receives Ctrl-C itself; this process only waits until it has cleaned up.
    for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      Deno.addSignalListener(name, () => {
        if (name !== "SIGINT") child.kill(name);
      });
    }
    Deno.exit((await child.status).code);
  }
  const form = flags.bundle ? "bundle" : "source";
  Deno.exit(await perform({ form, plain: flags.plain || !flags.inside, cluster: true }));
}
