import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { forge } from "../support/certificate_forge.ts";
import { initCaFiles, system } from "../../scripts/support/install.ts";
import { kubectl, until } from "../../scripts/support/kubectl.ts";
import { type CallingPod, OpensslClient, Peer } from "./support/peers.ts";

interface CaFiles {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

/** Puts a CA into the Secret as docs/how-to/rotate-the-ca.md says. */
async function install({ certificatePem, privateKeyPem }: CaFiles): Promise<void> {
  const folder = await Deno.makeTempDir({ dir: Deno.env.get("E2E_FOLDER")! });
  await Deno.writeTextFile(`${folder}/tls.crt`, certificatePem);
  await Deno.writeTextFile(`${folder}/tls.key`, privateKeyPem);
  const secret = await kubectl([
    ...["create", "secret", "tls", "csi-ca-secret", "-n", system],
    ...[`--cert=${folder}/tls.crt`, `--key=${folder}/tls.key`, "--dry-run=client", "-o", "yaml"],
  ]);
  await kubectl(["apply", "-f", "-"], secret);
}

const rootOf = ({ certificatePem }: CaFiles) => new X509Certificate(certificatePem);

/** The present contents of a volume, read on the node, which costs little. */
interface VolumeNow {
  readonly leaf: X509Certificate;
  readonly roots: readonly X509Certificate[];
}

async function volumeOf(path: string): Promise<VolumeNow> {
  for (;;) {
    try {
      const generation = await Deno.realPath(`${path}/..data`);
      const [certificate, trusted] = await Promise.all(
        ["tls.crt", "ca.crt"].map((name) => Deno.readTextFile(`${generation}/${name}`)),
      );
      const roots = trusted!.match(/-----BEGIN[^]*?END CERTIFICATE-----/g) ?? [];
      return {
        leaf: new X509Certificate(certificate!),
        roots: roots.map((pem) => new X509Certificate(pem)),
      };
    } catch (error) {
      // Swapped between the steps: there is a newer generation.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}

const trusts = ({ roots }: VolumeNow, root: X509Certificate) =>
  roots.some(({ fingerprint256 }) => fingerprint256 === root.fingerprint256);
const isSignedBy = ({ leaf }: VolumeNow, root: X509Certificate) => leaf.verify(root.publicKey);

/** Waits until each volume has been in this state, while no call fails and each program makes ten more calls. */
async function whileCalling(
  callers: readonly CallingPod[],
  what: string,
  holds: (volume: VolumeNow) => boolean,
): Promise<void> {
  const unseen = new Set(await Promise.all(callers.map(({ pod }) => pod.targetPath())));
  const observe = async () => {
    const conversations = await Promise.all(callers.map((caller) => caller.conversation()));
    assert.deepEqual(conversations.flatMap(({ failures }) => failures), [], what);
    return conversations.map(({ calls }) => calls);
  };
  const before = await observe();
  await until(what, async () => {
    for (const path of unseen) {
      if (holds(await volumeOf(path))) unseen.delete(path);
    }
    const calls = await observe();
    return unseen.size === 0 && calls.every((count, index) => count >= before[index]! + 10);
  }, 180_000);
}

/** Changes the CA, and waits until its root is trusted and then until it has signed every leaf. */
async function rotate(
  callers: readonly CallingPod[],
  name: string,
  ca: CaFiles,
  former: X509Certificate,
): Promise<X509Certificate> {
  const root = rootOf(ca);
  await install(ca);
  await whileCalling(
    callers,
    `the ${name} root is trusted, and signs nothing yet`,
    (volume) => trusts(volume, root) && !isSignedBy(volume, root),
  );
  await whileCalling(
    callers,
    `the ${name} CA has signed all leaves`,
    (volume) => isSignedBy(volume, root) && trusts(volume, former),
  );
  return root;
}

Deno.test("three programs use mutual TLS without a failure while the CA changes twice and a root retires", async () => {
  await using east = await Peer.start("east");
  await using west = await Peer.start("west");
  await using client = await OpensslClient.start("client", east);
  await east.call(west);
  await west.call(east);
  const callers = [east, west, client];
  const { roots } = await volumeOf(await east.pod.targetPath());
  assert.equal(roots.length, 1);
  const first = roots[0]!;
  await whileCalling(callers, "every program is called", (volume) => isSignedBy(volume, first));

  // It signs leaves to its own end only, and that is when its root leaves the volumes.
  const now = Temporal.Now.instant();
  const short = await forge({
    commonName: "Second CA",
    notBefore: now.subtract({ hours: 1 }),
    notAfter: now.add({ seconds: 120 }),
  });
  const second = await rotate(callers, "second", short, first);
  const lasting = await initCaFiles("--subject", "Third CA");
  const third = await rotate(callers, "third", lasting, second);
  await whileCalling(
    callers,
    "the second root has retired",
    (volume) => !trusts(volume, second) && trusts(volume, third),
  );

  const conversations = await Promise.all(callers.map((caller) => caller.conversation()));
  console.log(`calls without a failure: ${conversations.map(({ calls }) => calls).join(", ")}`);
  for (const { issuers } of conversations) {
    assert.deepEqual([...issuers].sort(), ["Second CA", "Third CA", "csi-cert-driver CA"]);
  }

  // A client that cannot show a certificate is the one failure, and it is reported.
  const anonymous = `openssl s_client -quiet -connect ${east.address} </dev/null`;
  await client.pod.tryShell(anonymous);
  const { failures } = await until("the failure is reported", async () => {
    const reported = await east.conversation();
    return reported.failures.length > 0 && reported;
  });
  assert.equal(failures.length, 1);
  assert.match(failures[0]!, /served: .*certificate/);
});
