import assert from "node:assert/strict";
import { join } from "node:path";
import { loadIssuer } from "../../../src/service/x509/issuer.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import { encodePem } from "../../../src/shared/crypto/pem.ts";
import { parseIpRange } from "../../../src/service/policy/ip_ranges.ts";
import { issued, openTestService, policy, reasonOf, rule } from "../../support/service_fixture.ts";
import { testWith, type Workbench } from "../../support/workbench.ts";
import { makeCertificate, openssl, type OpensslCa } from "../x509/openssl_ca.ts";

const constraints = {
  nameConstraints: "critical,@names",
  "[names]": [
    "permitted;DNS.1 = cluster.local",
    "permitted;DNS.2 = csi-cert-driver.internal",
    "excluded;DNS.1 = secret.shop.svc.cluster.local",
    "permitted;IP.1 = 10.0.0.0/255.0.0.0",
    "permitted;URI.1 = cluster.local",
    "excluded;dirName.1 = admins",
    "[admins]",
    "OU = admins",
  ].join("\n"),
};
const root: OpensslCa = { name: "root", extensions: constraints };
const ca: OpensslCa = { name: "ca", issuer: root };

const generous = policy([rule({
  dnsNames: ["shop.example.com"],
  uris: ["https://shop.example.com/*", "https://10.1.2.3/*"],
  ipRanges: ["10.0.0.0/8", "192.0.2.0/24"].map((text) => {
    const range = parseIpRange(text);
    assert.ok(range);
    return range;
  }),
  organizationalUnits: ["*"],
})]);

/** A service below a company's root with name constraints, and a check of its leaves by OpenSSL. */
async function open({ path }: Workbench) {
  await using stack = new AsyncDisposableStack();
  await makeCertificate(path, ca);
  const read = (name: string) => Deno.readTextFile(join(path, name));
  const start = Temporal.Now.instant().round("second").add({ hours: 1 });
  const pem = await read("ca.crt") + await read("root.crt");
  const loaded = await loadIssuer(pem, await read("ca.key"), start);
  assert.ok(loaded.kind === "loaded", JSON.stringify(loaded));
  const clock = new FakeClock(start);
  const service = stack.use(
    await openTestService({ clock, material: loaded, policy: generous }),
  );
  const verify = async (leaf: Uint8Array) => {
    await Deno.writeTextFile(join(path, "leaf.crt"), encodePem("CERTIFICATE", leaf));
    const at = `${Math.floor(start.epochMilliseconds / 1000)}`;
    const args = ["verify", "-x509_strict", "-attime", at, "-CAfile", "root.crt"];
    const { output } = await openssl(path, ...args, "-untrusted", "ca.crt", "leaf.crt");
    return output.trim();
  };
  const kept = stack.move();
  return { service, verify, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

testWith(
  "openssl",
  "below a CA with name constraints the pod's bare name is left out, and OpenSSL verifies the leaf",
  async (bench) => {
    await using opened = await open(bench);
    const { leaf, names } = issued(await opened.service.ask());
    assert.deepEqual(leaf.dnsNames, ["web-0.shop.svc.cluster.local"]);
    assert.deepEqual(names.dnsNames, leaf.dnsNames);
    assert.equal(await opened.verify(leaf.der), "leaf.crt: OK");
  },
);

testWith(
  "openssl",
  "names that the constraints permit are certified when a volume asks for them",
  async (bench) => {
    await using opened = await open(bench);
    const attributes = {
      "dns-names": "api.shop.svc.cluster.local",
      "ip-sans": "10.1.2.3",
      "uri-sans": "spiffe://cluster.local/ns/shop/sa/web",
    };
    const { leaf } = issued(await opened.service.ask({ attributes }));
    assert.deepEqual(leaf.ipAddresses, ["10.1.2.3"]);
    assert.equal(await opened.verify(leaf.der), "leaf.crt: OK");
  },
);

const denied: [attributes: Record<string, string>, reason: RegExp][] = [
  [
    { "dns-names": "shop.example.com" },
    /^the CA cannot certify it: dns-names "shop\.example\.com" is outside the name constraints of the certificate "CN=root", which permit only DNS "cluster\.local", DNS "csi-cert-driver\.internal"$/,
  ],
  [{ "dns-names": "a.shop.svc" }, /dns-names "a\.shop\.svc" is outside the name constraints/],
  [
    { "dns-names": "*.shop.svc.cluster.local" },
    /dns-names "\*\.shop\..*" is excluded by .* \(DNS "secret\.shop\.svc\.cluster\.local"\)/,
  ],
  [{ cn_template: "shop.example.com" }, /cn_template "shop\.example\.com" is outside/],
  [
    { "ip-sans": "192.0.2.1" },
    /ip-sans "192\.0\.2\.1" is outside .* IP "10\.0\.0\.0\/255\.0\.0\.0"/,
  ],
  [
    { "uri-sans": "https://shop.example.com/a" },
    /uri-sans "https:\/\/shop\.example\.com\/a" is outside .* URI "cluster\.local"/,
  ],
  [{ "uri-sans": "https://10.1.2.3/a" }, /uri-sans "https:\/\/10\.1\.2\.3\/a" is outside/],
  [
    { organizational_units: "admins" },
    /organizational_units: the subject "OU=admins, CN=web-0\..*" is excluded by .* "OU=admins"/,
  ],
];

testWith(
  "openssl",
  "a name outside the constraints is denied when a volume asks for it, with its attribute and the constraint",
  async (bench) => {
    await using opened = await open(bench);
    for (const [attributes, reason] of denied) {
      assert.match(reasonOf("denied", await opened.service.ask({ attributes })), reason);
    }
  },
);
