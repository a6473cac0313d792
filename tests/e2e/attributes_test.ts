import assert from "node:assert/strict";
import type { X509Certificate } from "node:crypto";
import { knownAttributes } from "../../src/shared/attributes/attribute_parser.ts";
import { kubectl } from "../../scripts/support/kubectl.ts";
import { Pod } from "./support/pods.ts";
import { editedExamplePolicy } from "../support/example_policy.ts";
import { givePolicy } from "./support/policy.ts";

/** A pod whose volume has these attributes, and how they show in its container. */
interface Shown {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly look: (pod: Pod) => Promise<void>;
}

/** In addition to the lifetime: clocks may be five minutes behind. */
function lifetimeMinutes({ validFromDate, validToDate }: X509Certificate): number {
  return (validToDate.getTime() - validFromDate.getTime()) / 60_000 - 5;
}

function includesAll(text: string | undefined, names: readonly string[]): void {
  for (const name of names) assert.ok(text?.split(", ").includes(name), `${name} in ${text}`);
}

/** What any namespace may request. */
const unruled: readonly Shown[] = [
  {
    name: "lasting",
    attributes: { validity_days: "2", "key-algorithm": "ecdsa", "key-size": "384" },
    look: async (pod) => {
      const certificate = await pod.certificate();
      assert.equal(lifetimeMinutes(certificate), 2 * 24 * 60);
      assert.equal(certificate.publicKey.asymmetricKeyDetails?.namedCurve, "secp384r1");
      assert.ok(await pod.holdsPair());
    },
  },
  {
    name: "edwards",
    attributes: { "key-algorithm": "ed25519" },
    look: async (pod) => {
      const { publicKey } = await pod.certificate();
      assert.equal(publicKey.asymmetricKeyType, "ed25519");
      assert.ok(await pod.holdsPair());
    },
  },
  {
    name: "named",
    attributes: {
      duration: "2h",
      "renew-before": "1h",
      cn_template: "{metadata.name}.{metadata.namespace}.svc",
      "dns-names": "a.default, {metadata.labels.app}.default, *.named.default.svc",
      "uri-sans": "spiffe://cluster.local/ns/default/sa/{spec.serviceAccountName}",
      "key-algorithm": "rsa",
      "key-size": "2048",
      "file-mode": "0600",
      "certificate-file": "chain.pem",
      "privatekey-file": "key.pem",
      "ca-file": "roots.pem",
    },
    look: async (pod) => {
      const files = await pod.shell("cd /certs; stat -Lc '%n %a' *");
      assert.equal(files, "chain.pem 600\nkey.pem 600\nroots.pem 600");
      const certificate = await pod.certificate("chain.pem");
      assert.equal(certificate.subject, "CN=named.default.svc");
      includesAll(certificate.subjectAltName, [
        "DNS:a.default",
        "DNS:e2e.default",
        "DNS:*.named.default.svc",
        "URI:spiffe://cluster.local/ns/default/sa/default",
      ]);
      assert.equal(certificate.publicKey.asymmetricKeyType, "rsa");
      assert.equal(lifetimeMinutes(certificate), 120);
    },
  },
  {
    name: "early",
    attributes: { duration: "60s", "renew-before": "30s" },
    look: async (pod) => {
      const before = await pod.certificate();
      const after = await pod.renewed(before.serialNumber);
      const seconds = (after.validFromDate.getTime() - before.validFromDate.getTime()) / 1000;
      // Without the second attribute, 80 % of the lifetime would have passed.
      assert.ok(seconds < 48, `renewed after ${seconds} s`);
    },
  },
  {
    name: "keeper",
    attributes: { duration: "10s", "reuse-private-key": "true" },
    look: async (pod) => assert.equal(...await keysOverRenewal(pod)),
  },
  {
    name: "changer",
    attributes: { duration: "10s", "reuse-private-key": "false" },
    look: async (pod) => assert.notEqual(...await keysOverRenewal(pod)),
  },
];

/** What a policy has to grant; deploy/example-policy.yaml does, once edited, for the namespace shop. */
const ruled: readonly Shown[] = [
  {
    name: "addressed",
    attributes: {
      "ip-sans": "10.1.2.3, 10.20.30.40",
      organizational_units: "Payments",
      "dns-names": "pay.shop.example.com",
      "uri-sans": "https://shop.example.com/pay",
      duration: "2000h",
    },
    look: async (pod) => {
      const certificate = await pod.certificate();
      assert.deepEqual(certificate.subject.split("\n").sort(), [
        "CN=addressed.shop.svc.cluster.local",
        "OU=Payments",
      ]);
      includesAll(certificate.subjectAltName, [
        "IP Address:10.1.2.3",
        "IP Address:10.20.30.40",
        "DNS:pay.shop.example.com",
        "URI:https://shop.example.com/pay",
      ]);
      assert.equal(lifetimeMinutes(certificate), 2000 * 60);
      const verify = (ip: string) =>
        pod.tryShell(`cd /certs && openssl verify -CAfile ca.crt -verify_ip ${ip} tls.crt`);
      assert.equal((await verify("10.1.2.3")).success, true);
      assert.equal((await verify("10.1.2.4")).success, false);
    },
  },
  {
    name: "large",
    attributes: { "key-algorithm": "rsa", "key-size": "4096" },
    look: async (pod) => {
      const { publicKey } = await pod.certificate();
      assert.equal(publicKey.asymmetricKeyDetails?.modulusLength, 4096);
      assert.ok(await pod.holdsPair());
    },
  },
];

/** The public key before and after a renewal, in a form that compares. */
async function keysOverRenewal(pod: Pod): Promise<[before: string, after: string]> {
  const before = await pod.certificate();
  const after = await pod.renewed(before.serialNumber);
  assert.ok(await pod.holdsPair());
  const text = ({ publicKey }: X509Certificate) =>
    publicKey.export({ type: "spki", format: "der" }).toString("hex");
  return [text(before), text(after)];
}

async function show({ name, attributes, look }: Shown, namespace: string): Promise<void> {
  await using pod = await Pod.start({ name, namespace, attributes });
  await look(pod);
}

const listed = (shown: Shown) => Object.keys(shown.attributes).join(", ");

for (const shown of unruled) {
  Deno.test(`pod ${shown.name} shows the attributes ${listed(shown)}`, () =>
    show(shown, "default"));
}

Deno.test("with the example policy pods get the names that it grants, and others are refused", async (test) => {
  await using _policy = await givePolicy(editedExamplePolicy());
  await kubectl(["create", "namespace", "shop"]);
  await using cleaning = new AsyncDisposableStack();
  cleaning.defer(async () => void await kubectl(["delete", "namespace", "shop"]));
  for (const shown of ruled) {
    await test.step(`pod ${shown.name} shows the attributes ${listed(shown)}`, () =>
      show(shown, "shop"));
  }
  for (
    const [attribute, value, rule] of [
      ["ip-sans", "192.0.2.1", /ipRanges/],
      ["organizational_units", "Board", /organizationalUnits/],
    ] as const
  ) {
    await test.step(`${attribute} ${value} is refused, and the event names ${rule}`, async () => {
      const attributes = { [attribute]: value };
      await using pod = await Pod.create({ name: "greedy", namespace: "shop", attributes });
      assert.match(await pod.failedMount(rule), new RegExp(value.replaceAll(".", "\\.")));
    });
  }
});

Deno.test("every attribute that a volume may have is shown by some pod", () => {
  const shown = new Set(
    [...unruled, ...ruled].flatMap(({ attributes }) => Object.keys(attributes)),
  );
  assert.deepEqual([...shown].sort(), [...knownAttributes].sort());
});
