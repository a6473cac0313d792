/**
 * Runs both programs with their default addresses, in the network that a test has prepared and
 * whose loopback address is the argument. Prints what the test compares, as JSON.
 */
import { TestEnvironment } from "../../scripts/demo/test_environment.ts";
import { policy } from "../../scripts/demo/scenario.ts";
import type { Program } from "../../scripts/support/programs.ts";
import { readCertificates } from "../../src/shared/x509/certificate.ts";
import { formatAddress } from "../../src/shared/text/network_address.ts";

const [loopback = ""] = Deno.args;
const at = (port: number) => formatAddress({ hostname: loopback, port });
/** An empty variable counts as unset. */
const unset = { LISTEN_ADDR: "", ATTESTATION_LISTEN_ADDR: "", HEALTH_ADDR: "" };
const toService = {
  CERT_SERVICE_ADDR: `https://${at(50051)}`,
  ATTESTATION_ADDR: `https://${at(50052)}`,
};

async function stateOf(program: Program) {
  const { address, attestationAddress, healthAddress } = await program.ready();
  const response = await fetch(`http://${at(9808)}/livez`);
  await response.body?.cancel();
  return { address, attestationAddress, healthAddress, livez: response.status };
}

await using environment = await TestEnvironment.withCa({
  form: "source",
  plain: true,
  cluster: true,
  loopback,
}, policy);
// Before the service: both use the same port for their health by default.
const first = await environment.startDriver({ ...toService, ...unset });
const { healthAddress, livez } = await stateOf(first);
await first.stop();
const service = await environment.startService(unset);
const ofService = await stateOf(service);
await environment.startDriver(toService);
await environment.kubelet.register();
const volume = environment.kubelet.admit({ name: "web-0", namespace: "shop" });
await environment.kubelet.publish(volume);
const [leaf] = readCertificates(await Deno.readTextFile(`${volume.targetPath}/tls.crt`)) ?? [];
await environment.kubelet.unpublish(volume);
console.log(JSON.stringify({
  driver: { healthAddress, livez },
  service: ofService,
  isIssued: leaf !== undefined && service.output.includes(`"serialNumber":"${leaf.serialNumber}"`),
  notices: environment.output.split("\n").filter((line) => line.includes("has no IPv6")).map((
    line,
  ) => JSON.parse(line).message).sort(),
}));
