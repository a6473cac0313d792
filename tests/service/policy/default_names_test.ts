import assert from "node:assert/strict";
import {
  podBareName,
  podCommonName,
  podDnsName,
  reservedBareNames,
} from "../../../src/service/policy/default_names.ts";

const label63 = "a".repeat(63);
const uid = "0c5e1F7a-9d2b-4c1e-8f3a-1b2c3d4e5f60";
const domain = "cluster.local";
/** A pod whose full name has this many characters. */
const podOf = (length: number) => {
  const rest = podDnsName({ name: "", namespace: "shop" }, domain).length;
  const name = "web.".repeat(64).slice(0, length - rest - 1) + "x";
  return { name, namespace: "shop", uid };
};

Deno.test("a pod's full name is its common name up to 64 characters", () => {
  const pod = podOf(64);
  assert.equal(podCommonName(pod, domain), podDnsName(pod, domain));
  assert.equal(podCommonName(pod, domain).length, 64);
  assert.equal(
    podCommonName({ name: "web-0", namespace: "shop", uid: "" }, domain),
    "web-0.shop.svc.cluster.local",
  );
});

for (const length of [65, 253]) {
  Deno.test(`a full name of ${length} characters is cut to 55, "-" and 8 digits of the uid`, () => {
    const pod = podOf(length);
    assert.equal(podDnsName(pod, domain).length, length);
    assert.equal(podCommonName(pod, domain), `${podDnsName(pod, domain).slice(0, 55)}-0c5e1f7a`);
  });
}

Deno.test("a dotted pod name cannot choose where its common name ends", () => {
  const victim = "payments.bank.svc.cluster.local";
  const name = `${"a".repeat(32)}.${victim}`;
  assert.equal(name.length, 64);
  const commonName = podCommonName({ name, namespace: "evil", uid }, domain);
  assert.equal(commonName, `${name.slice(0, 55)}-0c5e1f7a`);
});

for (
  const [given, digits] of [
    ["0123456789abcdef0123456789abcdef", "01234567"],
    ["xyz-1-ff", "1ff00000"],
    ["", "00000000"],
    ["ABCDEF12", "abcdef12"],
  ] as const
) {
  Deno.test(`the uid "${given}" gives the digits ${digits}`, () => {
    assert.equal(podCommonName({ ...podOf(100), uid: given }, domain).slice(-9), `-${digits}`);
  });
}

Deno.test("a pod's bare name is one label that is not reserved", () => {
  for (const name of ["web-0", "0a", label63]) {
    assert.equal(podBareName(name, reservedBareNames), name);
  }
  const taken = ["localhost", "kubernetes", "cert-service", "csi-cert-driver", "csi-cert-system"];
  const others = ["svc", "cluster", "local", "internal", "web.shop", "1", label63 + "a", "", "Web"];
  for (const name of [...taken, ...others, "cert-service.csi-cert-system.svc.cluster.local"]) {
    assert.equal(podBareName(name, reservedBareNames), undefined, name);
  }
  assert.equal(podBareName("web", ["web"]), undefined);
});
