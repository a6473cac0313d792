import assert from "node:assert/strict";
import { type AuditEntry, writeAuditEntry } from "../../../src/service/access/audit_log.ts";
import { configureLogging } from "../../../src/shared/telemetry/logging.ts";

const node = {
  kind: "node",
  node: "node-1",
  serviceAccount: "csi-cert-system/driver",
  podUid: "driver-uid",
  tokenId: "JTI=1",
} as const;
const pod = { namespace: "shop", name: "web-0", uid: "pod-uid", serviceAccount: "web" };
const names = {
  commonName: "web-0",
  organizationalUnits: [],
  dnsNames: ["web-0.shop.svc.cluster.local", "web-0"],
  ipAddresses: ["10.0.0.1"],
  uris: ["spiffe://cluster.local/ns/shop/sa/web"],
};
const notAfter = Temporal.Instant.from("2026-01-08T00:00:00Z");

/** Entries, and what follows time, level and logger in their lines: JSON, and text for people. */
const decisions: { entry: AuditEntry; json: string; text: string }[] = [
  {
    entry: {
      action: "renew",
      outcome: "issued",
      caller: node,
      pod,
      volumeId: "csi-1",
      predecessor: "0a",
      serialNumber: "0b",
      names,
      notAfter,
    },
    json:
      '"message":"renewal succeeded: caller node node-1, pod shop/web-0 (pod-uid), serial number 0b","action":"renew","outcome":"issued","volumeId":"csi-1","predecessor":"0a","serialNumber":"0b","caller":"node node-1","node":"node-1","callerServiceAccount":"csi-cert-system/driver","callerPodUid":"driver-uid","tokenId":"JTI=1","podUid":"pod-uid","namespace":"shop","podName":"web-0","serviceAccount":"web","commonName":"web-0","organizationalUnits":[],"dnsNames":["web-0.shop.svc.cluster.local","web-0"],"ipAddresses":["10.0.0.1"],"uris":["spiffe://cluster.local/ns/shop/sa/web"],"notAfter":"2026-01-08T00:00:00Z"}',
    text:
      'renewal succeeded: caller node node-1, pod shop/web-0 (pod-uid), serial number 0b action=renew outcome=issued volumeId=csi-1 predecessor=0a node=node-1 callerServiceAccount=csi-cert-system/driver callerPodUid=driver-uid tokenId="JTI=1" serviceAccount=web commonName=web-0 organizationalUnits=[] dnsNames="[\\"web-0.shop.svc.cluster.local\\",\\"web-0\\"]" ipAddresses="[\\"10.0.0.1\\"]" uris="[\\"spiffe://cluster.local/ns/shop/sa/web\\"]" notAfter=2026-01-08T00:00:00Z',
  },
  {
    entry: {
      action: "issue",
      outcome: "denied",
      caller: { kind: "anonymous" },
      pod,
      volumeId: "csi-1",
      predecessor: undefined,
      reason: "not {pod}\n{{granted}}",
    },
    json:
      '"message":"issuance failed (denied): caller anonymous, pod shop/web-0 (pod-uid): not {pod}\\n{{granted}}","action":"issue","outcome":"denied","volumeId":"csi-1","reason":"not {pod}\\n{{granted}}","caller":"anonymous","podUid":"pod-uid","namespace":"shop","podName":"web-0","serviceAccount":"web"}',
    text:
      "issuance failed (denied): caller anonymous, pod shop/web-0 (pod-uid): not {pod}\\n{{granted}} action=issue volumeId=csi-1 serviceAccount=web",
  },
  {
    entry: {
      action: "revoke",
      outcome: "revoked",
      caller: { kind: "administrator" },
      podUid: "pod-uid",
      serialNumber: "0b",
      reason: "stolen",
    },
    json:
      '"message":"revocation succeeded: caller local administrator, pod pod-uid, serial number 0b: stolen","action":"revoke","outcome":"revoked","podUid":"pod-uid","serialNumber":"0b","reason":"stolen","caller":"local administrator"}',
    text:
      "revocation succeeded: caller local administrator, pod pod-uid, serial number 0b: stolen action=revoke outcome=revoked",
  },
  {
    entry: {
      action: "revoke",
      outcome: "revoked",
      caller: { kind: "administrator" },
      revokedNode: "node-1",
      reason: "stolen",
    },
    json:
      '"message":"revocation succeeded: caller local administrator, node node-1: stolen","action":"revoke","outcome":"revoked","revokedNode":"node-1","reason":"stolen","caller":"local administrator"}',
    text:
      "revocation succeeded: caller local administrator, node node-1: stolen action=revoke outcome=revoked",
  },
  {
    entry: { action: "report", outcome: "reported", caller: node, accepted: 2, refused: 0 },
    json:
      '"message":"report succeeded: caller node node-1, 2 accepted, 0 refused","action":"report","outcome":"reported","accepted":2,"refused":0,"caller":"node node-1","node":"node-1","callerServiceAccount":"csi-cert-system/driver","callerPodUid":"driver-uid","tokenId":"JTI=1"}',
    text:
      'report succeeded: caller node node-1, 2 accepted, 0 refused action=report outcome=reported node=node-1 callerServiceAccount=csi-cert-system/driver callerPodUid=driver-uid tokenId="JTI=1"',
  },
  {
    entry: { action: "list", outcome: "shown", caller: node, podUid: undefined },
    json:
      '"message":"listing succeeded: caller node node-1","action":"list","outcome":"shown","caller":"node node-1","node":"node-1","callerServiceAccount":"csi-cert-system/driver","callerPodUid":"driver-uid","tokenId":"JTI=1"}',
    text:
      'listing succeeded: caller node node-1 action=list outcome=shown node=node-1 callerServiceAccount=csi-cert-system/driver callerPodUid=driver-uid tokenId="JTI=1"',
  },
  {
    entry: { action: "authenticate", outcome: "denied", caller: undefined, reason: "no token" },
    json:
      '"message":"authentication failed (denied): caller unauthenticated: no token","action":"authenticate","outcome":"denied","reason":"no token","caller":"unauthenticated"}',
    text: "authentication failed (denied): caller unauthenticated: no token action=authenticate",
  },
];

async function lineOf(
  format: "text" | "json",
  entry: AuditEntry,
  level: "info" | "warning" = "info",
): Promise<string | undefined> {
  const lines: string[] = [];
  const write = (line: string) => void lines.push(line);
  await using _logging = await configureLogging({ format, level, program: "cert-service", write });
  writeAuditEntry(entry);
  assert(lines.length <= 1);
  return lines[0];
}

for (const { entry, json, text } of decisions) {
  Deno.test(`the line of "${text.split(" ", 6).join(" ")}" is the same, byte by byte`, async () => {
    const jsonLine = await lineOf("json", entry) ?? "";
    const logger = '"level":"info","logger":"cert-service.audit",';
    assert.equal(jsonLine.replace(/^\{"time":"[0-9T:.-]{23}Z",/, ""), logger + json);
    const textLine = await lineOf("text", entry) ?? "";
    const head = "INFO  cert-service.audit: ";
    assert.equal(textLine.replace(/^[0-9T:.-]{23}Z /, ""), head + text);
  });
}

Deno.test("a secret in a reason is redacted, in the message and in the property", async () => {
  const reason = "got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.SECRET";
  const entry = { action: "issue", outcome: "denied", caller: undefined, reason } as const;
  for (const format of ["text", "json"] as const) {
    const line = await lineOf(format, entry);
    assert.match(line ?? "", /\[redacted\]/);
    assert.doesNotMatch(line ?? "", /SECRET/);
  }
});

Deno.test("decisions are not logged at the level of warnings", async () => {
  const entry = { action: "get", outcome: "shown", caller: undefined } as const;
  assert.equal(await lineOf("json", entry, "warning"), undefined);
});
