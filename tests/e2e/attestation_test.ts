import assert from "node:assert/strict";
import { system } from "../../scripts/support/install.ts";
import { getJson, kubectl, until } from "../../scripts/support/kubectl.ts";
import { administer, replicas } from "./support/operators.ts";
import { Pod } from "./support/pods.ts";

interface AuditLine {
  readonly time: string;
  readonly action?: string;
  readonly outcome?: string;
  readonly node?: string;
  readonly callerServiceAccount?: string;
  readonly callerPodUid?: string;
  readonly tokenId?: string;
  readonly notAfter?: string;
  readonly revokedNode?: string;
}

/** The audit lines of one action in the logs of both replicas, the oldest first. */
async function auditLines(action: string): Promise<AuditLine[]> {
  const lines: AuditLine[] = [];
  for (const replica of await replicas()) {
    const text = await kubectl(["-n", system, "logs", replica]);
    for (const line of text.split("\n")) {
      if (line.includes(`"action":"${action}"`)) lines.push(JSON.parse(line));
    }
  }
  return lines.sort((left, right) => left.time.localeCompare(right.time));
}

async function driverPod(): Promise<{ uid: string; name: string; node: string }> {
  const { items: [pod] } = await getJson("pods", "-n", system, "-l", "app=csi-cert-driver");
  return { uid: pod.metadata.uid, name: pod.metadata.name, node: pod.spec.nodeName };
}

Deno.test("the node has attested with its driver's token, for an hour at most", async () => {
  const { uid, node } = await driverPod();
  const attested = await until("the driver's pod has attested", async () => {
    const lines = await auditLines("attest");
    return lines.find(({ callerPodUid, outcome }) => callerPodUid === uid && outcome === "issued");
  });
  assert.equal(attested.node, node);
  assert.equal(attested.callerServiceAccount, `${system}/csi-cert-driver`);
  assert.match(attested.tokenId ?? "", /^JTI=/);
  const minutes = (Date.parse(attested.notAfter ?? "") - Date.parse(attested.time)) / 60_000;
  assert.ok(minutes > 55 && minutes <= 60, `${minutes} minutes`);
});

Deno.test("a revoked node attests again, new pods on it get certificates, and volumes keep theirs", async () => {
  const { node } = await driverPod();
  const [replica = ""] = await replicas();
  await using pod = await Pod.start({ name: "on-revoked-node" });
  const { serialNumber } = await pod.certificate();
  await administer(replica, "revoke", "--node", node, "--reason", "a test");
  const [{ time: revokedAt } = { time: "" }] = (await auditLines("revoke"))
    .filter(({ revokedNode }) => revokedNode === node).slice(-1);
  assert.notEqual(revokedAt, "");
  // Certificates made within a minute after a revocation are rejected too, for replicas' clocks.
  await until("the node has attested again and is served", async () => {
    const reports = await auditLines("report");
    return reports.some(({ time }) => Date.parse(time) > Date.parse(revokedAt) + 50_000);
  }, 240_000);
  await using next = await Pod.start({ name: "after-revocation" });
  assert.ok(await next.holdsPair());
  // The volume that was there has kept its certificate.
  assert.equal((await pod.certificate()).serialNumber, serialNumber);
});
