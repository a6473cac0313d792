import { MemoryDocument } from "../../src/service/documents/memory_document.ts";
import { openService } from "../../src/service/program/compose.ts";
import { CurrentCa } from "../../src/service/ca/current_ca.ts";
import { CurrentPolicy } from "../../src/service/issuing/current_policy.ts";
import { allowAnonymous } from "../../src/service/access/authenticator.ts";
import type { CaSourceContent } from "../../src/service/ca/ca_source.ts";
import { CertificateService } from "../../src/shared/gen/certificate_service_pb.ts";
import { connect } from "../../src/shared/grpc_client/client.ts";
import { registerService, serveTcp } from "../../src/shared/grpc_server/server.ts";
import { certificateService } from "../../src/service/api/certificate_service.ts";
import { Scheduler } from "../../src/shared/scheduler/scheduler.ts";
import { createCertificateRequest } from "../../src/shared/x509/certificate_request.ts";
import { exportPrivateKey, generateKeyPair } from "../../src/shared/crypto/key_pairs.ts";
import { encodePem } from "../../src/shared/crypto/pem.ts";
import { ScriptedDocument, ScriptedSource } from "../service/ca/rotation_fixture.ts";
import { FakeClock } from "../../scripts/support/fake_clock.ts";
import { TlsProgram, type VolumeFiles } from "./tls_program.ts";

const minutes = (minutes: number) => Temporal.Duration.from({ minutes });
/** What every certificate of this environment is valid for. */
export const validity = minutes(1);
/** Leaves are back-dated by 5 minutes: a test's clock can be ahead of the machine's by as much. */
export const delay = minutes(2);

/**
 * The service on a TLS socket with a CA that a test changes, and pods' programs whose volumes follow
 * the trust bundle as a driver's do. Starts at the machine's time, which TLS uses.
 */
export async function openEnvironment(secret: CaSourceContent) {
  const clock = new FakeClock(Temporal.Instant.fromEpochMilliseconds(Date.now()));
  await using stack = new AsyncDisposableStack();
  const scheduler = stack.use(new Scheduler({ clock }));
  const source = new ScriptedSource();
  const currentCa = new CurrentCa();
  const base = { clusterDomain: "cluster.local", defaultValidity: validity, maxValidity: validity };
  const policy = stack.use(await CurrentPolicy.open({ base, scheduler, clock }));
  source.hold(secret);
  let isOpen = false;
  const opening = openService({
    clock,
    scheduler,
    currentCa,
    policy,
    caSource: source,
    caRotationDelay: delay,
    trustDocument: new ScriptedDocument(),
    denialsDocument: new MemoryDocument(),
    clusterDomain: "cluster.local",
  }).finally(() => isOpen = true);
  await clock.until(() => isOpen);
  const opened = stack.use(await opening);
  const implementation = certificateService({ ...opened, authenticator: allowAnonymous });
  const server = stack.use(
    await serveTcp("127.0.0.1:0", {
      services: [registerService(CertificateService, implementation)],
      graceMs: 100,
      tls: opened.serving,
    }),
  );
  const client = stack.use(connect(CertificateService, {
    address: `https://127.0.0.1:${server.port}`,
    // As the driver's, from the trust bundle's ConfigMap.
    trustBundle: () => bundlePem(currentCa.anchors.map(({ der }) => der)),
    serverName: "cert-service.csi-cert-driver.internal",
  }));

  /** A new certificate, as a driver would have it issued or renewed. */
  const issue = async (name: string): Promise<VolumeFiles> => {
    const keys = await generateKeyPair("ecdsa-p256");
    const { certificateChain, trustBundle } = await client.issueCertificate({
      certificateRequest: await createCertificateRequest(keys),
      pod: { namespace: "shop", name, uid: `uid-${name}`, serviceAccount: "default" },
      volume: { id: `csi-${name}`, name: "certs", attributes: {} },
    });
    return {
      certificatePem: bundlePem(certificateChain),
      privateKeyPem: await exportPrivateKey(keys.privateKey),
      trustBundlePem: bundlePem(trustBundle?.certificates ?? []),
    };
  };
  const signs = () => currentCa.material?.issuer.certificate.commonName;
  const kept = stack.move();
  return {
    clock,
    source,
    currentCa,
    client,
    issue,
    start: async (name: string) =>
      kept.use(await TlsProgram.start(`${name}.shop.svc.cluster.local`, await issue(name))),
    /** Resolves when a CA of this name signs. */
    signing: (name: string) => clock.until(() => signs() === name),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** Loads each trust bundle that the service sends, in all volumes at once, as drivers do. */
export function followTrust(
  { client }: Pick<Awaited<ReturnType<typeof openEnvironment>>, "client">,
  programs: readonly TlsProgram[],
): Disposable {
  const leaving = new AbortController();
  const follow = async () => {
    try {
      const bundles = client.watchTrustBundle({}, { signal: leaving.signal });
      for await (const { certificates } of bundles) {
        const trustBundlePem = bundlePem(certificates);
        for (const program of programs) program.reload({ trustBundlePem });
      }
    } catch (error) {
      if (!leaving.signal.aborted) throw error;
    }
  };
  follow();
  return { [Symbol.dispose]: () => leaving.abort() };
}

export function rootsOf({ files }: TlsProgram): number {
  return files.trustBundlePem.split("END CERTIFICATE").length - 1;
}

function bundlePem(certificates: readonly Uint8Array[]): string {
  return certificates.map((der) => encodePem("CERTIFICATE", der)).join("");
}
