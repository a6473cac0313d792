import type { CaSourceContent } from "../../src/service/ca/ca_source.ts";
import { shippedPermissions } from "../../src/service/kubernetes/permissions.ts";
import { CertificateService } from "../../src/shared/gen/certificate_service_pb.ts";
import { connect } from "../../src/shared/grpc_client/client.ts";
import { createCertificateRequest } from "../../src/shared/x509/certificate_request.ts";
import { exportPrivateKey, generateKeyPair } from "../../src/shared/crypto/key_pairs.ts";
import { encodePem } from "../../src/shared/crypto/pem.ts";
import { formatDuration } from "../../src/shared/text/durations.ts";
import { installed, serverName } from "../../src/shared/text/product_names.ts";
import { podObject } from "../../scripts/support/api_pod.ts";
import { ApiServer } from "../../scripts/support/api_server.ts";
import { FakeClock } from "../../scripts/support/fake_clock.ts";
import { composeService } from "../support/composed_service.ts";
import { pass } from "../service/kubernetes/kubernetes_fixture.ts";
import { writeKubeconfig } from "../support/kubeconfig.ts";
import { temporaryFolder } from "../support/temporary_folder.ts";
import { TlsProgram, type VolumeFiles } from "./tls_program.ts";

const minutes = (minutes: number) => Temporal.Duration.from({ minutes });
/** What every certificate of this environment is valid for. */
export const validity = minutes(1);
/** Leaves are back-dated by 5 minutes: a test's clock can be ahead of the machine's by as much. */
export const delay = minutes(2);

/**
 * The service as the program composes it, with a CA Secret that a test changes, and pods' programs
 * whose volumes follow the trust bundle as a driver's do. Starts at the machine's time, which TLS uses.
 */
export async function openEnvironment(secret: CaSourceContent) {
  const clock = new FakeClock(Temporal.Instant.fromEpochMilliseconds(Date.now()));
  await using stack = new AsyncDisposableStack();
  const api = stack.use(await ApiServer.start());
  api.rules = shippedPermissions;
  const { namespace, caSecret, trustBundle } = installed;
  const putCa = (
    { certificatePem, privateKeyPem, furtherAnchorsPem, compromised }: typeof secret,
  ) =>
    api.objects.put("secrets", {
      metadata: {
        namespace,
        name: caSecret,
        annotations: { "csi-cert-driver/old-key-compromised": `${compromised}` },
      },
      data: {
        "tls.crt": btoa(certificatePem),
        "tls.key": btoa(privateKeyPem),
        "ca.crt": btoa(furtherAnchorsPem ?? ""),
      },
    });
  putCa(secret);
  const folder = stack.use(await temporaryFolder());
  const variables = {
    KUBECONFIG: await writeKubeconfig(folder.path, api),
    AUTHENTICATION: "none",
    CA_SECRET_NAMESPACE: namespace,
    CA_ROTATION_DELAY: formatDuration(delay),
    MAX_VALIDITY: formatDuration(validity),
  };
  const service = stack.use(await composeService(variables, clock));
  const { address, currentCa } = service;
  // As a driver, which has the ConfigMap as a file.
  const bundle = () => {
    const stored = api.objects.get("configmaps", namespace, trustBundle);
    return (stored?.data as Record<string, string> | undefined)?.["ca.crt"] ?? "";
  };
  const client = stack.use(
    connect(CertificateService, { address, trustBundle: bundle, serverName }),
  );

  /** A new certificate, as a driver would have it issued or renewed. */
  const issue = async (name: string): Promise<VolumeFiles> => {
    const uid = `uid-${name}`;
    api.objects.put("pods", podObject({ metadata: { name, uid } }));
    const keys = await generateKeyPair("ecdsa-p256");
    const { certificateChain, trustBundle } = await client.issueCertificate({
      certificateRequest: await createCertificateRequest(keys),
      pod: { namespace: "shop", name, uid, serviceAccount: "web" },
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
    putCa,
    currentCa,
    client,
    issue,
    start: async (name: string) =>
      kept.use(await TlsProgram.start(`${name}.shop.svc.cluster.local`, await issue(name))),
    /** Resolves when the condition holds; seconds can pass, in which a failed API call is retried. */
    until: (condition: () => boolean) => pass(clock, condition),
    /** Resolves when a CA of this name signs. */
    signing: (name: string) => pass(clock, () => signs() === name),
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
