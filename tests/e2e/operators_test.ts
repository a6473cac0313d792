import assert from "node:assert/strict";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { status } from "@grpc/grpc-js";
import { serviceAddress } from "../../scripts/cluster/settings.ts";
import { RpcError } from "../../src/shared/grpc/rpc_error.ts";
import {
  accountOf,
  auditEvents,
  covers,
  refusedCalls,
  rightsGranted,
  rightsUsed,
  rightText,
} from "./support/audit.ts";
import { system } from "../../scripts/support/install.ts";
import { getJson, kubectl, until } from "../../scripts/support/kubectl.ts";
import { Operator, replicaAddresses } from "./support/operators.ts";
import { Pod } from "./support/pods.ts";
import { readmeBlock } from "./support/readme.ts";

const service = `${serviceAddress}:50051`;
const wait = { timeoutMs: 20_000 };

/** Lets the account be an operator until the end, when its denials are taken back too. */
async function allow(account: string): Promise<AsyncDisposable> {
  await kubectl(["apply", "-f", "-"], await readmeBlock("yaml", /^kind: ClusterRole$/m));
  const role = "csi-cert-operator";
  await kubectl([
    ...["create", "clusterrolebinding", role, `--clusterrole=${role}`],
    `--serviceaccount=${system}:${account}`,
  ]);
  return {
    [Symbol.asyncDispose]: async () => {
      await kubectl(["delete", "clusterrolebinding,clusterrole", role]);
      const denials = ["delete", "configmap", "csi-cert-denials", "--ignore-not-found"];
      await kubectl(["-n", system, ...denials]);
    },
  };
}

async function refusal(call: Promise<unknown>): Promise<RpcError> {
  const error = await call.then(() => undefined, (error) => error);
  assert.ok(error instanceof RpcError, String(error));
  return error;
}

/** What a replica lists of a pod. */
async function listed(operator: Operator, address: string, podUid: string) {
  using client = operator.client(address);
  return await Array.fromAsync(client.listCertificates({ podUid }, wait));
}

Deno.test("an operator lists, shows and revokes with a token of its own, and a revoked pod is renewed no more", async () => {
  await using operator = await Operator.create("cert-operator");
  await using _allowed = await allow("cert-operator");
  await using pod = await Pod.start({ name: "accused", attributes: { duration: "30s" } });
  const { metadata } = await pod.object();
  const { serialNumber } = await pod.certificate();

  // A replica knows what it signed and what its drivers reported: one of them has this one.
  const replicas = await replicaAddresses();
  assert.equal(replicas.length, 2);
  const knowing = await until("a replica lists the certificate", async () => {
    for (const address of replicas) {
      const [entry] = await listed(operator, address, metadata.uid);
      if (entry !== undefined) return { address, entry };
    }
  });
  // As numbers: one of the two may write zeros in front.
  assert.equal(BigInt(`0x${knowing.entry.serialNumber}`), BigInt(`0x${serialNumber}`));
  assert.deepEqual(knowing.entry.dnsNames, ["accused.default.svc.cluster.local", "accused"]);
  {
    using client = operator.client(knowing.address);
    const { serialNumber } = knowing.entry;
    const { certificate } = await client.getCertificateInfo({ serialNumber }, wait);
    assert.equal(certificate?.pod?.uid, metadata.uid);
    assert.equal(certificate?.commonName, "accused.default.svc.cluster.local");
  }

  using client = operator.client(service);
  const target = { case: "podUid", value: metadata.uid } as const;
  const { validUntil } = await client.revokeCertificate({ target, reason: "a test" }, wait);
  const last = await pod.certificate();
  assert.ok(validUntil && timestampDate(validUntil) >= last.validToDate);
  const { data } = await getJson("configmap", "csi-cert-denials", "-n", system);
  assert.ok(data["denials.json"].includes(metadata.uid));
  await until(
    "the last certificate has expired",
    () => Promise.resolve(Date.now() > last.validToDate.getTime()),
  );
  assert.equal((await pod.certificate()).serialNumber, last.serialNumber);

  await pod.remove();
  await using successor = await Pod.start({ name: "accused" });
  assert.ok(await successor.holdsPair());
});

Deno.test("a second revocation goes into the same list, and the first stays in it", async () => {
  await using operator = await Operator.create("cert-operator");
  await using _allowed = await allow("cert-operator");
  using client = operator.client(service);
  for (
    const value of ["11111111-0000-4000-8000-000000000001", "11111111-0000-4000-8000-000000000002"]
  ) {
    await client.revokeCertificate({ target: { case: "podUid", value }, reason: "a test" }, wait);
  }
  const { data } = await getJson("configmap", "csi-cert-denials", "-n", system);
  for (const digit of [1, 2]) {
    assert.ok(data["denials.json"].includes(`11111111-0000-4000-8000-00000000000${digit}`));
  }
});

Deno.test("an account without the role is told what it lacks, and a token for another audience is none", async () => {
  await using stranger = await Operator.create("stranger");
  const target = { case: "podUid", value: "11111111-0000-4000-8000-000000000003" } as const;
  const attempts = (client: ReturnType<Operator["client"]>) => [
    () => Array.fromAsync(client.listCertificates({}, wait)),
    () => client.getCertificateInfo({ serialNumber: "ab" }, wait),
    () => client.revokeCertificate({ target, reason: "a test" }, wait),
  ];
  using client = stranger.client(service);
  for (const attempt of attempts(client)) {
    const { code, message } = await refusal(attempt());
    assert.equal(code, status.PERMISSION_DENIED, message);
    assert.match(message, /stranger.* lacks a ClusterRole/);
  }
  await using _allowed = await allow("admin");
  await using admin = await Operator.create("admin", "https://kubernetes.default.svc");
  using misled = admin.client(service);
  for (const attempt of attempts(misled)) {
    const { code, message } = await refusal(attempt());
    assert.equal(code, status.UNAUTHENTICATED, message);
  }
});

Deno.test("a trust bundle that somebody deletes or spoils is made again, and volumes keep what they trust", async () => {
  const read = async (): Promise<{ metadata: { uid: string }; data: Record<string, string> }> =>
    await getJson("configmap", "csi-cert-trust-bundle", "-n", system);
  await using pod = await Pod.start({ name: "believer" });
  const before = await read();
  await kubectl(["-n", system, "delete", "configmap", "csi-cert-trust-bundle"]);
  const after = await until("there is another one", () => read().catch(() => undefined));
  assert.notEqual(after.metadata.uid, before.metadata.uid);
  assert.equal(after.data["ca.crt"], before.data["ca.crt"]);
  const spoil = ["patch", "configmap", "csi-cert-trust-bundle", "--type=merge", "--patch"];
  await kubectl(["-n", system, ...spoil, '{"data":{"ca.crt":"spoilt"}}']);
  await until("it is mended", async () => (await read()).data["ca.crt"] === before.data["ca.crt"]);
  assert.ok(await pod.holdsPair());
});

Deno.test("each right that the manifest grants was used, by the account that has it, and no call was refused", async () => {
  const accounts = ["cert-service", "csi-cert-driver"];
  const granted = await rightsGranted(accounts);
  assert.ok(granted.length > 0);
  const events = await auditEvents();
  const used = events.flatMap(rightsUsed);
  const unused = granted.filter((right) => !used.some((one) => covers(right, one)));
  assert.deepEqual(unused.map(rightText), [], "granted, and never used");
  assert.deepEqual(await refusedCalls(), []);
  // Nothing was allowed on other grounds, such as what every account may do.
  const bindings = /RoleBinding "(cert-service\/csi-cert-system|csi-cert-driver:cert-service)"/;
  const otherwise = events.filter(({ annotations }) =>
    !bindings.test(annotations?.["authorization.k8s.io/reason"] ?? "")
  );
  assert.deepEqual(otherwise.map(({ verb, requestURI }) => `${verb} ${requestURI}`), []);
  // The driver's account has no right, and never asked.
  assert.deepEqual(granted.filter(({ account }) => account === "csi-cert-driver"), []);
  assert.deepEqual([...new Set(events.map(accountOf))], ["cert-service"]);
  const counts = granted.map((right) =>
    `${used.filter((one) => covers(right, one)).length} × ${rightText(right)}`
  );
  console.log(counts.join("\n"));
});
