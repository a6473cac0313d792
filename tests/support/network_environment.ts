import { fileURLToPath } from "node:url";

/** A program and its first arguments; a command follows that then runs in the environment. */
export type CommandPrefix = readonly string[];

const filter = fileURLToPath(new URL("ipv6_filter.ts", import.meta.url));

/**
 * A network namespace of its own, whose loopback interface is up and where the name of the service
 * has one address; `setup` is a shell command.
 */
function namespaceWith(unshare: CommandPrefix, address: string, setup: string): CommandPrefix {
  const hosts = `mount -t tmpfs hosts /mnt && echo ${address} cert-service >/mnt/hosts && ` +
    "mount --bind /mnt/hosts /etc/hosts && umount /mnt";
  return [...unshare, "sh", "-c", `ip link set lo up && ${hosts} && ${setup} && exec "$@"`, "sh"];
}

/** Networks that lack an address family. */
const setups = {
  "without an IPv4 address": (unshare: CommandPrefix) =>
    namespaceWith(unshare, "::1", "ip -4 address flush dev lo"),
  "without an IPv6 address": (unshare: CommandPrefix) =>
    namespaceWith(unshare, "127.0.0.1", "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6"),
  "whose kernel has no IPv6": (unshare: CommandPrefix) => [
    ...namespaceWith(unshare, "127.0.0.1", "true"),
    ...[Deno.execPath(), "run", "--quiet", "--no-check", "--allow-all", filter],
  ],
};

export type NetworkName = keyof typeof setups;

const ways: readonly CommandPrefix[] = [
  ["unshare", "--mount", "--net"],
  ["unshare", "--user", "--map-root-user", "--mount", "--net"],
];

/** What runs a command in each network, or why this machine has none of them. */
export const networks:
  | { readonly kind: "prefixes"; readonly prefixes: Readonly<Record<NetworkName, CommandPrefix>> }
  | { readonly kind: "none"; readonly reason: string } = find();

function find(): typeof networks {
  let reason = "";
  for (const way of ways) {
    const found = Object.entries(setups).map(([name, setup]) => [name, setup(way)] as const);
    reason = found.map(([, prefix]) => problemOf(prefix)).find((problem) => problem !== "") ?? "";
    if (reason === "") return { kind: "prefixes", prefixes: Object.fromEntries(found) as never };
  }
  console.error(`tests in a network namespace are ignored: ${reason}`);
  return { kind: "none", reason };
}

function problemOf([program = "", ...args]: CommandPrefix): string {
  try {
    const { success, stderr } = new Deno.Command(program, { args: [...args, "true"] }).outputSync();
    return success ? "" : new TextDecoder().decode(stderr).trim() || `${program} failed`;
  } catch (error) {
    return `${program} cannot be run: ${error}`;
  }
}
