/** TLS sessions that are resumed after the reason for accepting them no longer applies. */
import { SuiteCa } from "../programs/authority.ts";
import { hasOpenssl, issueThroughOpenssl } from "../tools/openssl_session.ts";
import { AttackFailure, InconclusiveFailure, type OwnRow, type Skipped } from "../harness/row.ts";
import { AttackedService } from "../programs/service.ts";
import { pause } from "../harness/service_row.ts";
import { programArguments } from "../../permissions.ts";
import type { ClientIdentity } from "../http2/socket.ts";

const lifetimeSeconds = 4;
/** CLIENT_CA_FILE is looked at every 10 seconds. */
const longestReloadMs = 20_000;

interface Session {
  readonly service: AttackedService;
  readonly address: string;
  readonly identity: { readonly certificateFile: string; readonly keyFile: string };
  /** The file with the session. */
  readonly file: string;
}

/** A session of a node's valid certificate; undefined when the service gives no tickets. */
async function openSession(
  service: AttackedService,
  folder: string,
  made: ClientIdentity,
): Promise<Session | undefined> {
  const { address } = await service.running();
  const identity = { certificateFile: `${folder}/node.crt`, keyFile: `${folder}/node.key` };
  await Deno.writeTextFile(identity.certificateFile, made.certificatePem);
  await Deno.writeTextFile(identity.keyFile, made.privateKeyPem);
  const file = `${folder}/session.pem`;
  const isServed = await issueThroughOpenssl({ service, address, identity, save: file });
  if (!isServed) throw new AttackFailure("a valid certificate was not served through openssl");
  const isThere = await Deno.stat(file).then(() => true, () => false);
  if (!isThere) return undefined;
  const session = { service, address, identity, file };
  // Otherwise a later refusal could have another reason.
  if (!await resumes(session)) {
    throw new InconclusiveFailure("a valid session could not be resumed");
  }
  return session;
}

async function resumes({ service, address, file }: Session): Promise<boolean> {
  return await issueThroughOpenssl({ service, address, resume: file });
}

async function afterExpiry(folder: string): Promise<string | Skipped> {
  if (!await hasOpenssl()) return { skipped: "openssl is missing" };
  await using service = await AttackedService.prepare("mtls", folder);
  const notAfter = lifetimeSeconds / 3_600;
  const session = await openSession(
    service,
    folder,
    await service.nodeCa.issueNode("node-9", { notAfter }),
  );
  if (session === undefined) return "the service gives no session tickets";
  await pause((lifetimeSeconds + 1) * 1_000);
  if (await resumes(session)) throw new AttackFailure("served after the certificate's expiry");
  return "refused";
}

async function afterCaRemoval(folder: string): Promise<string | Skipped> {
  if (!await hasOpenssl()) return { skipped: "openssl is missing" };
  await using service = await AttackedService.prepare("mtls", folder);
  const made = await service.nodeCa.issueNode("node-9");
  const session = await openSession(service, folder, made);
  if (session === undefined) return "the service gives no session tickets";
  const next = await SuiteCa.create("Next node CA");
  await Deno.writeTextFile(`${folder}/node-ca.crt`, next.certificatePem);
  const began = performance.now();
  while (await issueThroughOpenssl(session)) {
    if (performance.now() - began > longestReloadMs) {
      throw new AttackFailure("the old CA's certificates are served 20 s after its removal");
    }
    await pause(500);
  }
  if (await resumes(session)) throw new AttackFailure("served after the CA was removed");
  return "refused";
}

/** A ticket of another TLS port of the process, where no certificate was requested. */
async function ofAnotherPort(folder: string): Promise<string | Skipped> {
  if (!await hasOpenssl()) return { skipped: "openssl is missing" };
  await using service = await AttackedService.prepare("kubernetes", folder);
  const { address, attestationAddress = "" } = await service.running();
  const file = `${folder}/session.pem`;
  const endpoint = { service, address: attestationAddress, protocol: "http/1.1" };
  await issueThroughOpenssl({ ...endpoint, save: file });
  const isThere = await Deno.stat(file).then(() => true, () => false);
  if (!isThere) return "the attestation endpoint gives no session tickets";
  if (await issueThroughOpenssl({ service, address, resume: file })) {
    throw new AttackFailure("served with a session of the attestation endpoint");
  }
  return "refused";
}

/** Needs `revoke --node`, which closes the node's connections and refuses its certificates. */
async function afterRevocation(folder: string): Promise<string | Skipped> {
  if (!await hasOpenssl()) return { skipped: "openssl is missing" };
  const socket = `${folder}/admin.sock`;
  const env = { ADMIN_SOCKET: socket };
  await using service = await AttackedService.prepare("mtls", folder, env);
  const made = await service.nodeCa.issueNode("node-7");
  const session = await openSession(service, folder, made);
  if (session === undefined) return "the service gives no session tickets";
  const args = [...programArguments("cert-service", "bundle"), "revoke", "--node", "node-7"];
  const { success, stderr } = await new Deno.Command(Deno.execPath(), { args, env }).output();
  if (!success) throw new AttackFailure(`revoke failed: ${new TextDecoder().decode(stderr)}`);
  if (await resumes(session)) throw new AttackFailure("served after the node was revoked");
  if (await issueThroughOpenssl(session)) throw new AttackFailure("a revoked node was served");
  return "refused";
}

export const resumedSessionRows: readonly OwnRow[] = [
  {
    name: "resumed sessions/after the certificate's expiry",
    position: "node",
    target: "own",
    run: afterExpiry,
  },
  {
    name: "resumed sessions/after the CA was removed",
    position: "node",
    target: "own",
    run: afterCaRemoval,
  },
  {
    name: "resumed sessions/of the attestation endpoint",
    position: "unauthenticated",
    target: "own",
    needs: "attestation",
    run: ofAnotherPort,
  },
  {
    name: "resumed sessions/after the node was revoked",
    position: "node",
    target: "own",
    needs: "administration",
    run: afterRevocation,
  },
];
