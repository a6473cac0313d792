import assert from "node:assert/strict";
import { caManifest } from "../../../src/service/admin/ca_manifest.ts";
import { checkCa } from "../../../src/service/admin/check_ca.ts";
import { serverName } from "../../../src/shared/text/product_names.ts";
import { forge, now } from "../../support/certificate_forge.ts";
import { KeyUsageFlags } from "../../../src/service/x509/peculiar_x509.ts";

const names = { servingName: serverName, clusterDomain: "cluster.local" };
const proper = {
  keyUsage: KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign,
  subjectKeyIdentifier: "01020304",
};
const root = await forge({ ...proper, commonName: "root" });
const ca = await forge({ ...proper, commonName: "ca", issuer: root });

async function run(files: Readonly<Record<string, string | Uint8Array>>, ...options: string[]) {
  const read = (path: string) => {
    const content = files[path] ?? assert.fail(path);
    return Promise.resolve(
      typeof content === "string" ? new TextEncoder().encode(content) : content,
    );
  };
  const paths = Object.keys(files).filter((path) => !options.includes(path));
  const result = await checkCa([...options, ...paths], { now, names, read });
  assert.ok(result.kind === "done", JSON.stringify(result));
  assert.ok(!result.output.includes(ca.privateKeyPem.slice(28, 60)), "no key");
  return result;
}

Deno.test("check-ca prints what a CA in files is, and exits with 0", async () => {
  const files = {
    "tls.crt": ca.certificatePem,
    "tls.key": ca.privateKeyPem,
    "ca.crt": root.certificatePem,
  };
  assert.deepEqual(await run(files), {
    kind: "done",
    exitCode: 0,
    output: `the CA can be used: CN=ca
  valid until   2026-03-02T00:00:00Z
  root          CN=root
  key           belongs to the certificate
`,
  });
});

Deno.test("check-ca reads a Secret's manifest as kubectl prints it, in YAML and JSON, also in a list", async () => {
  const manifest = caManifest(root);
  const secret = {
    kind: "Secret",
    data: {
      "tls.crt": btoa(ca.certificatePem),
      "tls.key": btoa(ca.privateKeyPem),
      "ca.crt": btoa(root.certificatePem),
    },
  };
  const texts = [manifest, JSON.stringify(secret), JSON.stringify({ items: [secret] })];
  for (const text of texts) {
    const { exitCode, output } = await run({ "-": text });
    assert.equal(exitCode, 0, output);
    assert.match(output, /belongs to the certificate/);
  }
});

Deno.test("check-ca states that the key was not given, and warns of a root that is missing", async () => {
  const { exitCode, output } = await run({ "tls.crt": ca.certificatePem });
  assert.equal(exitCode, 0);
  assert.match(
    output,
    /root {10}none given\n {2}key {11}not given, not checked\nwarning: the /,
  );
});

Deno.test("check-ca exits with 1 and the service's own sentence for a CA that would be refused", async () => {
  const other = await forge({ ...proper, commonName: "other" });
  const cases: [Record<string, string | Uint8Array>, string[], RegExp][] = [
    [
      { "tls.crt": ca.certificatePem, "tls.key": other.privateKeyPem },
      [],
      /^the CA cannot be used: the CA's key does not belong to its certificate/,
    ],
    [
      { "tls.crt": ca.certificatePem, "ca.crt": other.certificatePem },
      [],
      /^the CA cannot be used: .* the certificate of the issuer of .*"CN=ca", "CN=root", is missing/,
    ],
    [
      { "tls.crt": ca.certificate.der },
      [],
      /^the CA cannot be used: tls\.crt: it is a certificate in DER/,
    ],
    [{ "tls.key": ca.privateKeyPem }, [], /expected the CA's certificate as a PEM block/],
    [
      { "a.txt": "text" },
      [],
      /a\.txt: it contains neither a PEM block CERTIFICATE nor a private key/,
    ],
    [
      { "-": JSON.stringify({ kind: "Secret", data: { "tls.crt": "%" } }) },
      [],
      /-: tls\.crt of its Secret is not base64/,
    ],
    [
      {
        "tls.crt": ca.certificatePem,
        "ca.crt": root.certificatePem,
        "kube.crt": root.certificatePem,
      },
      ["--cluster-ca", "kube.crt"],
      /it has the key of the certificate "CN=root", a CA of the cluster itself/,
    ],
  ];
  for (const [files, options, expected] of cases) {
    const { exitCode, output } = await run(files, ...options);
    assert.equal(exitCode, 1, output);
    assert.match(output, expected);
  }
});

Deno.test("check-ca without a file, with - twice, or with a cluster CA that is none, is a wrong command line", async () => {
  const read = () => Promise.resolve(new TextEncoder().encode("text"));
  for (
    const args of [[], ["-", "-"], ["--cluster-ca", "-", "-"], ["--cluster-ca", "a", "tls.crt"]]
  ) {
    assert.equal((await checkCa(args, { now, names, read })).kind, "refused");
  }
});
