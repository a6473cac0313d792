import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { forge } from "../support/certificate_forge.ts";
import { initCaFiles, system } from "../../scripts/support/install.ts";
import { kubectl, until } from "../../scripts/support/kubectl.ts";
import { OpensslClient, Peer, type Talker } from "./support/peers.ts";

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

/** What a volume holds now, read on the node, so that looking often costs little. */
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

/** Waits until each volume was seen so, while no call fails and each program makes at least ten more. */
async function whileTalking(
  talkers: readonly Talker[],
  what: string,
  holds: (volume: VolumeNow) => boolean,
): Promise<void> {
  const unseen = new Set(await Promise.all(talkers.map(({ pod }) => pod.targetPath())));
  const observe = async () => {
    const heard = await Promise.all(talkers.map((talker) => talker.conversation()));
    assert.deepEqual(heard.flatMap(({ failures }) => failures), [], what);
    return heard.map(({ calls }) => calls);
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

Deno.test("three programs use mutual TLS without a failure while the CA changes twice and a root retires", async () => {
  await using east = await Peer.start("east");
  await using west = await Peer.start("west");
  await using client = await OpensslClient.start("client", east);
  await east.call(west);
  await west.call(east);
  const talkers = [east, west, client];
  const { roots } = await volumeOf(await east.pod.targetPath());
  assert.equal(roots.length, 1);
  const first = roots[0]!;
  await whileTalking(talkers, "every program is called", (volume) => isSignedBy(volume, first));

  // It signs leaves to its own end only, and that is when its root leaves the volumes.
  const now = Temporal.Now.instant();
  const short = await forge({
    commonName: "Second CA",
    notBefore: now.subtract({ hours: 1 }),
    notAfter: now.add({ seconds: 120 }),
  });
  const second = rootOf(short);
  await install(short);
  await whileTalking(
    talkers,
    "the second root is trusted, and signs nothing yet",
    (volume) => trusts(volume, second) && !isSignedBy(volume, second),
  );
  await whileTalking(
    talkers,
    "the second CA has signed all leaves",
    (volume) => isSignedBy(volume, second) && trusts(volume, first),
  );

  const lasting = await initCaFiles("--subject", "Third CA");
  const third = rootOf(lasting);
  await install(lasting);
  await whileTalking(
    talkers,
    "the third root is trusted, and signs nothing yet",
    (volume) => trusts(volume, third) && !isSignedBy(volume, third),
  );
  await whileTalking(
    talkers,
    "the third CA has signed all leaves",
    (volume) => isSignedBy(volume, third) && trusts(volume, second),
  );
  await whileTalking(
    talkers,
    "the second root has retired",
    (volume) => !trusts(volume, second) && trusts(volume, third),
  );

  const heard = await Promise.all(talkers.map((talker) => talker.conversation()));
  console.log(`calls without a failure: ${heard.map(({ calls }) => calls).join(", ")}`);
  for (const { issuers } of heard) {
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
