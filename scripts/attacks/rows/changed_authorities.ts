/** CAs that change or that are unfit: rotation under load, and anchors without basicConstraints. */
import { RawConnection } from "../http2/connection.ts";
import type { ClientIdentity } from "../http2/socket.ts";
import { grpcHeaders, grpcMessage, issueMessage, methodPaths } from "../http2/grpc_request.ts";
import { type Attack, AttackFailure, type OwnRow, type ServiceRow } from "../harness/row.ts";
import type { Skipped } from "../harness/row.ts";
import { pause } from "../harness/service_row.ts";
import { SuiteCa } from "../programs/authority.ts";
import { namespace } from "../programs/cluster.ts";
import { AttackedService } from "../programs/service.ts";
import { hasOpenssl } from "../tools/openssl_session.ts";

const rotations = 3;

/** The Secret changes under load, again and again; honest callers verify by both CAs. */
async function rotate(attack: Attack): Promise<string> {
  const { service } = attack;
  const api = service.cluster?.api;
  if (api === undefined) throw new AttackFailure("there is no API server");
  for (let n = 0; n < rotations && attack.isAlive(); n++) {
    for (const ca of [service.nextCa, service.ca]) {
      api.objects.put("secrets", {
        metadata: { namespace, name: "csi-ca-secret" },
        data: { "tls.crt": btoa(ca.certificatePem), "tls.key": btoa(ca.privateKeyPem) },
      });
      await pause(Math.max(700, attack.ms / 6));
    }
  }
  return `${rotations * 2} changes of the CA`;
}

/** Two files of openssl's: a self-signed certificate of version 1, which bears no extension. */
async function makeV1Anchor(folder: string): Promise<ClientIdentity> {
  const key = `${folder}/v1.key`;
  const request = `${folder}/v1.csr`;
  const certificate = `${folder}/v1.crt`;
  const subject = ["-subj", "/CN=V1 anchor"];
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  await openssl(["req", "-new", ...curve, ...subject, "-keyout", key, "-out", request]);
  const signing = ["-signkey", key, "-days", "2", "-out", certificate];
  await openssl(["x509", "-req", "-in", request, ...signing]);
  return {
    certificatePem: await Deno.readTextFile(certificate),
    privateKeyPem: await Deno.readTextFile(key),
  };
}

async function openssl(args: readonly string[]): Promise<void> {
  const command = new Deno.Command("openssl", { args: [...args], stderr: "piped" });
  const { success, stderr } = await command.output();
  if (!success) throw new Error(`openssl failed: ${new TextDecoder().decode(stderr)}`);
}

/** An anchor of version 1 in CLIENT_CA_FILE must admit no client, with its key or with another one. */
async function v1Anchor(folder: string): Promise<string | Skipped> {
  if (!await hasOpenssl()) return { skipped: "openssl is missing" };
  await using service = await AttackedService.prepare("mtls", folder);
  const anchor = await makeV1Anchor(folder);
  // In addition to the node CA, so that the service starts and serves the honest nodes.
  const both = service.nodeCa.certificatePem + anchor.certificatePem;
  await Deno.writeTextFile(`${folder}/node-ca.crt`, both);
  const running = await service.running().catch((error: Error) => error);
  if (running instanceof Error) {
    // It has to be the anchor that keeps the service from starting.
    if (!/V1 anchor.*not an X\.509 v3 certificate/.test(running.message)) throw running;
    return "the service does not start with it";
  }
  const { address } = running;
  const other = await (await SuiteCa.create("Other CA")).issueNode("node-9");
  const shown: Readonly<Record<string, ClientIdentity>> = {
    "with its key": anchor,
    "with another key": { ...anchor, privateKeyPem: other.privateKeyPem },
  };
  for (const [how, identity] of Object.entries(shown)) {
    const handshake = await passesTls(service, address, identity);
    if (handshake) throw new AttackFailure(`the anchor itself came to HTTP/2, ${how}`);
  }
  return "refused";
}

/** Whether the server's HTTP/2 answers, even with an error: an unauthenticated client must not reach it. */
async function passesTls(
  service: AttackedService,
  address: string,
  identity: ClientIdentity,
): Promise<boolean> {
  try {
    using connection = await RawConnection.open({ address, tls: service.tls(identity) });
    const message = grpcMessage(issueMessage(service.certificateRequest));
    const answer = await connection.request(grpcHeaders(methodPaths.issue), message, 2_000);
    return answer.httpStatus !== undefined;
  } catch {
    return false;
  }
}

export const rotationRows: readonly ServiceRow[] = [{
  name: "authorities/rotation under load",
  position: "unauthenticated",
  target: "kubernetes",
  // A change of the CA is work of the service's own, which its nodes may notice in their latency.
  expects: { p99Factor: undefined },
  longestMs: 60_000,
  run: rotate,
}];

export const anchorRows: readonly OwnRow[] = [{
  name: "authorities/an anchor of X.509 version 1",
  position: "unauthenticated",
  target: "own",
  run: v1Anchor,
}];
