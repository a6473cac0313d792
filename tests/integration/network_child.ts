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
/** Empty variables count as unset. By default the driver calls the name cert-service. */
const byName = { CERT_SERVICE_ADDR: "", ATTESTATION_ADDR: "" };
const byAddress = { CERT_SERVICE_ADDR: `https://${at(50051)}`, ATTESTATION_ADDR: "" };
const unset = { LISTEN_ADDR: "", ATTESTATION_LISTEN_ADDR: "", HEALTH_ADDR: "" };

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
const first = await environment.startDriver({ ...byName, ...unset });
const { healthAddress, livez } = await stateOf(first);
await first.stop();
const service = await environment.startService(unset);
const ofService = await stateOf(service);
const issued: boolean[] = [];
for (const addresses of [byName, byAddress]) {
  const driver = await environment.startDriver(addresses);
  await environment.kubelet.register();
  const volume = environment.kubelet.admit({ name: "web-0", namespace: "shop" });
  await environment.kubelet.publish(volume);
  const [leaf] = readCertificates(await Deno.readTextFile(`${volume.targetPath}/tls.crt`)) ?? [];
  await environment.kubelet.unpublish(volume);
  await driver.stop();
  issued.push(service.output.includes(`"serialNumber":"${leaf?.serialNumber}"`));
}
const notices = environment.output.split("\n").filter((line) => line.includes("has no IPv6"));
console.log(JSON.stringify({
  driver: { healthAddress, livez },
  service: ofService,
  issued,
  notices: notices.map((line) => JSON.parse(line).message).sort(),
}));
