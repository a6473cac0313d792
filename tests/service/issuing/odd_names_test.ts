import assert from "node:assert/strict";
import { issued, openTestService, pod, policy, rule } from "../../support/service_fixture.ts";

const label63 = "x".repeat(63);
/** A DNS name of so many characters below shop.svc.cluster.local. */
function longName(length: number): string {
  const end = ".shop.svc.cluster.local";
  return `${"x".repeat(length - end.length)}${end}`;
}

/** What a volume asks for under dns-names, and how the request ends. */
const asked: [string, string, "issued" | "denied" | "invalid"][] = [
  ["in the namespace", "web.shop.svc", "issued"],
  ["Unicode", "bücher.shop.svc", "invalid"],
  ["Unicode that looks like ASCII", "wеb.shop.svc", "invalid"],
  ["a full-width dot", "web．shop.svc", "invalid"],
  ["Unicode as the A-label that DNS knows", "xn--bcher-kva.shop.svc", "issued"],
  ["an A-label that is none", "xn--.shop.svc", "invalid"],
  ["upper case", "WEB.shop.svc", "invalid"],
  ["a trailing dot", "web.shop.svc.", "invalid"],
  ["a leading dot", ".shop.svc", "invalid"],
  ["an empty label", "web..svc", "invalid"],
  ["*", "*", "invalid"],
  ["*.*", "*.*", "invalid"],
  ["*.*.shop.svc", "*.*.shop.svc", "invalid"],
  ["a wildcard within a label", "w*.shop.svc", "invalid"],
  ["a wildcard that is not first", "web.*.svc", "invalid"],
  ["a wildcard of the namespace", "*.shop.svc", "issued"],
  ["a wildcard of all namespaces", "*.svc.cluster.local", "denied"],
  ["a wildcard of a short name", "*.shop", "denied"],
  ["NUL", "web.shop.svc\u0000.evil.example", "invalid"],
  ["NUL between", "web\u0000.shop.svc", "invalid"],
  ["a line end", "web.shop.svc\n", "invalid"],
  ["a label of 63 characters", `${label63}.shop.svc`, "issued"],
  ["a label of 64 characters", `x${label63}.shop.svc`, "invalid"],
  ["254 characters", `${`${label63}.`.repeat(3)}${"x".repeat(62)}`, "invalid"],
  ["254 characters below the namespace", longName(254), "invalid"],
  ["an underscore", "_web.shop.svc", "invalid"],
  ["an address", "10.0.0.1", "invalid"],
];

for (const [what, name, outcome] of asked) {
  Deno.test(`asked for as a DNS name, ${what} is ${outcome}`, async () => {
    await using service = await openTestService();
    const answer = await service.ask({ attributes: { "dns-names": name } });
    const told = "reason" in answer ? answer.reason : "";
    assert.equal(answer.kind, outcome, told);
    // What is refused is told in printable characters.
    assert.match(told, /^[\x20-\x7e\u00a0-\uffff]*$/);
  });
}

for (const namespace of ["local", "svc", "cluster", "internal"]) {
  Deno.test(`a pod of a namespace called ${namespace} gets no short name that means another's`, async () => {
    await using service = await openTestService();
    const own = { ...pod, namespace };
    const { leaf } = issued(await service.ask({ pod: own }));
    assert.deepEqual(leaf.dnsNames, [`web-0.${namespace}.svc.cluster.local`, "web-0"]);
    const short = { pod: own, attributes: { "dns-names": `printer.${namespace}` } };
    assert.equal((await service.ask(short)).kind, "denied");
    const full = { pod: own, attributes: { "dns-names": `printer.${namespace}.svc` } };
    assert.equal((await service.ask(full)).kind, "issued");
  });
}

Deno.test("a pod of a namespace called dev gets web.dev, which the cluster's DNS answers for, and no more", async () => {
  await using service = await openTestService();
  const ask = async (name: string) =>
    (await service.ask({ pod: { ...pod, namespace: "dev" }, attributes: { "dns-names": name } }))
      .kind;
  assert.deepEqual([await ask("web.dev"), await ask("app.web.dev"), await ask("dev")], [
    "issued",
    "denied",
    "denied",
  ]);
});

Deno.test("no rule can give what belongs to the service, the API server or the whole cluster", async () => {
  const dnsNames = ["*.csi-cert-driver.internal", "*.svc.cluster.local", "*.default.svc"]
    .concat("kubernetes.default.svc", "cluster.local");
  await using service = await openTestService({ policy: policy([rule({ dnsNames })]) });
  const names = ["cert-service.csi-cert-driver.internal", "kubernetes.default.svc", "cluster.local"]
    .concat("*.default.svc", "*.svc.cluster.local", "kubernetes");
  for (const name of names) {
    const answer = await service.ask({ attributes: { "dns-names": name } });
    assert.equal(answer.kind, "denied", name);
  }
});
