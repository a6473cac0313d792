import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { Program } from "../../scripts/support/programs.ts";
import { temporaryFolder } from "../support/temporary_folder.ts";
import { type NetworkName, networks } from "../support/network_environment.ts";

const child = fileURLToPath(new URL("network_child.ts", import.meta.url));

async function runIn(network: NetworkName, loopback: string): Promise<unknown> {
  assert.ok(networks.kind === "prefixes");
  const [program = "", ...prefix] = networks.prefixes[network];
  const run = [Deno.execPath(), "run", "--quiet", "--no-check", "--allow-all", child, loopback];
  const { success, stdout, stderr } = await new Deno.Command(program, {
    args: [...prefix, ...run],
    stdin: "null",
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout));
}

for (
  const [network, loopback, host] of [
    ["without an IPv4 address", "::1", "[::]"],
    ["without an IPv6 address", "127.0.0.1", "[::]"],
    ["whose kernel has no IPv6", "127.0.0.1", "0.0.0.0"],
  ] as const
) {
  Deno.test({
    name: `the programs attest, issue and answer health checks on a machine ${network}`,
    ignore: networks.kind === "none",
    async fn() {
      const notice = (variable: string, port: number) =>
        `this machine has no IPv6, and ${variable} is unset: listening on 0.0.0.0:${port}`;
      assert.deepEqual(await runIn(network, loopback), {
        driver: { healthAddress: `${host}:9808`, livez: 200 },
        service: {
          address: `${host}:50051`,
          attestationAddress: `${host}:50052`,
          healthAddress: `${host}:9808`,
          livez: 200,
        },
        issued: [true, true],
        notices: host === "[::]" ? [] : [
          notice("ATTESTATION_LISTEN_ADDR", 50052),
          notice("HEALTH_ADDR", 9808),
          notice("HEALTH_ADDR", 9808),
          notice("LISTEN_ADDR", 50051),
        ],
      });
    },
  });
}

for (
  const [name, variable] of [
    ["csi-driver", "HEALTH_ADDR"],
    ["cert-service", "HEALTH_ADDR"],
    ["cert-service", "LISTEN_ADDR"],
    ["cert-service", "ATTESTATION_LISTEN_ADDR"],
  ] as const
) {
  Deno.test(`${name} ends with an error that names ${variable} where the machine lacks its address`, async () => {
    await using folder = await temporaryFolder();
    await using program = new Program(name, "source", {
      CSI_ENDPOINT: `unix://${folder.path}/csi.sock`,
      CERT_BASE_PATH: `${folder.path}/records`,
      [variable]: "[2001:db8::5]:0",
    });
    assert.equal((await program.ended()).code, 1);
    const { message } = await program.logged(({ level }) => level === "fatal");
    const [expected, reason = ""] = message.split(/(?<=: )(?=[A-Z])/);
    assert.equal(expected, `cannot serve: cannot listen on [2001:db8::5]:0 (${variable}): `);
    assert.match(reason, /^(Cannot assign requested address|Address family not supported)/);
  });
}
