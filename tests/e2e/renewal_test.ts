import assert from "node:assert/strict";
import { Pod } from "./support/pods.ts";
import { kubectl } from "../../scripts/support/kubectl.ts";

/** Reads the pair again and again as a program would, for some seconds; returns what it saw. */
const watchPair = (seconds: number) =>
  `end=$(( $(date +%s) + ${seconds} )); reads=0; bad=0; : >/tmp/serials; cd /tmp
while [ $(date +%s) -lt $end ]; do
  # One generation, read whole; when it was swapped meanwhile, there is a newer one to read.
  cp /certs/$(readlink /certs/..data)/* . 2>/dev/null || continue
  reads=$((reads + 1))
  openssl verify -CAfile ca.crt tls.crt >/dev/null 2>&1 || bad=$((bad + 1))
  certificate=$(openssl x509 -in tls.crt -noout -pubkey)
  key=$(openssl pkey -in tls.key -pubout)
  test "$certificate" = "$key" || bad=$((bad + 1))
  openssl x509 -in tls.crt -noout -serial >>/tmp/serials
done
echo reads=$reads bad=$bad serials=$(sort -u /tmp/serials | wc -l)`;

Deno.test("a running container sees its certificate renewed, and never a certificate with another's key", async () => {
  // A new one every 8 seconds, and each good for 12 more: so long may a busy machine take.
  const attributes = { duration: "20s", "renew-before": "12s" };
  await using pod = await Pod.start({ name: "courier", attributes });
  const seen = await pod.shell(watchPair(30));
  const [, reads, bad, serials] = /reads=(\d+) bad=(\d+) serials=(\d+)/.exec(seen) ?? [];
  console.log(seen);
  assert.equal(bad, "0", seen);
  assert.ok(Number(reads) > 20 && Number(serials) >= 3, seen);
});

Deno.test("a pod that needs minutes to end is renewed meanwhile", async () => {
  await using pod = await Pod.start({
    name: "draining",
    attributes: { duration: "20s" },
    drainSeconds: 300,
  });
  await using ending = new AsyncDisposableStack();
  ending.defer(() => pod.endDraining());
  await kubectl(["delete", "pod", "draining", "--wait=false"]);
  const asked = performance.now();
  let { serialNumber } = await pod.certificate();
  // Longer than the kubelet's longest wait between two publishes of a pod that is not ending.
  while (performance.now() - asked < 125_000) {
    const next = await pod.renewed(serialNumber);
    assert.ok(next.validToDate.getTime() > Date.now());
    assert.ok(await pod.holdsPair());
    serialNumber = next.serialNumber;
  }
  const { metadata, status } = await pod.object();
  assert.ok(metadata.deletionTimestamp);
  assert.equal(status.phase, "Running");
});
