import { rolledOut, system } from "../../../scripts/support/install.ts";
import { getJson, kubectl, until } from "../../../scripts/support/kubectl.ts";

/** A certificate, as `cert-service list -o json` prints it. */
export interface ListedCertificate {
  readonly serialNumber: string;
  readonly namespace: string;
  readonly podName: string;
  readonly podUid: string;
  readonly node: string | null;
  readonly commonName: string | null;
  readonly dnsNames: readonly string[];
  readonly revokedAt: string | null;
}

/** The service's pods, as kubectl names them. */
export async function replicas(): Promise<string[]> {
  const { items } = await getJson("pods", "-n", system, "-l", "app=cert-service");
  return items.map(({ metadata }: { metadata: { name: string } }) => `pod/${metadata.name}`);
}

/** Changes how many replicas of the service run; with none, resolves when the last has ended. */
export async function scale(count: number): Promise<void> {
  await kubectl(["-n", system, "scale", "deployment/cert-service", `--replicas=${count}`]);
  await rolledOut("deployment/cert-service");
  if (count > 0) return;
  await until("no replica runs", async () => (await replicas()).length === 0);
}

/** Runs one of the administrator's commands, as docs/how-to/list-and-revoke.md describes; returns what it prints. */
export async function administer(where: string, ...args: string[]): Promise<string> {
  return await kubectl(["-n", system, "exec", where, "--", "cert-service", ...args]);
}

/** What a replica lists of a pod. */
export async function listed(where: string, podUid: string): Promise<ListedCertificate[]> {
  const text = await administer(where, "list", "--pod", podUid, "-o", "json");
  return text.split("\n").filter(Boolean).map((line) => JSON.parse(line));
}
