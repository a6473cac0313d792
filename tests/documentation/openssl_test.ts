import assert from "node:assert/strict";
import { loadCa } from "../../src/service/ca/loaded_ca.ts";
import { encodePem } from "../../src/shared/crypto/pem.ts";
import { signUnder } from "../service/x509/verifiers.ts";
import { blocks, page } from "../support/documentation.ts";
import { testWith, type Workbench } from "../support/workbench.ts";

/** Runs those of a page's scripts that need no cluster, one after the other, in one folder. */
async function runScripts(bench: Workbench, path: string): Promise<string> {
  const scripts = blocks(page(path), "sh").filter((script) => !script.includes("kubectl"));
  assert.ok(scripts.length >= 2, `${path} has ${scripts.length} scripts`);
  const { success, output } = await bench.run("bash", "-euc", scripts.join("\n"));
  assert.ok(success, output);
  return output;
}

/** Loads what a page's Secret would hold, as the service does, without a warning. */
async function load(bench: Workbench, roots: string | undefined) {
  const loaded = await loadCa({
    certificatePem: await bench.read("tls.crt"),
    privateKeyPem: await bench.read("tls.key"),
    furtherAnchorsPem: roots && await bench.read(roots),
    compromised: false,
  }, Temporal.Now.instant());
  assert.ok(loaded.kind === "loaded", JSON.stringify(loaded));
  assert.deepEqual(loaded.ca.warnings, []);
  return loaded.ca;
}

testWith("openssl", "the commands of own-ca.md make a CA that the service loads", async (bench) => {
  const output = await runScripts(bench, "docs/how-to/own-ca.md");
  assert.match(output, /CA:TRUE[^]*Certificate Sign/);
  const { anchors } = await load(bench, undefined);
  assert.deepEqual(anchors.map(({ subject }) => subject), ["CN=My CA"]);
});

testWith(
  "openssl",
  "a Secret that repeats the CA in ca.crt, as cert-manager's does, has one root",
  async (bench) => {
    await runScripts(bench, "docs/how-to/own-ca.md");
    const { anchors, furtherAnchors } = await load(bench, "tls.crt");
    assert.deepEqual([anchors.length, furtherAnchors.length], [1, 0]);
  },
);

testWith(
  "openssl",
  "the commands of intermediate-ca.md make a CA below a root, and verify a leaf of it",
  async (bench) => {
    const path = "docs/how-to/intermediate-ca.md";
    assert.match(await runScripts(bench, path), /^tls\.crt: OK$/m);
    const { anchors, issuer } = await load(bench, "root.crt");
    assert.deepEqual(anchors.map(({ subject }) => subject), ["CN=Example Root"]);
    assert.equal(issuer.certificate.subject, "CN=Cluster CA 1");
    const { chain } = await signUnder({
      certificatePem: await bench.read("tls.crt"),
      privateKeyPem: await bench.read("tls.key"),
    });
    await bench.write("pod.pem", chain.map(({ der }) => encodePem("CERTIFICATE", der)).join(""));
    const [check] = /^openssl verify .*pod\.pem$/m.exec(page(path)) ?? [];
    const { output } = await bench.run("bash", "-c", check ?? "");
    assert.match(output, /^pod\.pem: OK$/m);
  },
);
