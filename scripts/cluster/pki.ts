import { addresses, type Place } from "./settings.ts";

/** One program's certificate: its subject and, for servers, the names it answers to. */
interface Identity {
  readonly subject: string;
  readonly names?: readonly string[];
}

/** The cluster's own certificates; nothing of this has to do with the CA that signs for pods. */
function identitiesOf({ nodeName, family }: Place): Readonly<Record<string, Identity>> {
  const { loopback, node, apiService } = addresses[family];
  return {
    apiserver: {
      subject: "/CN=kube-apiserver",
      names: ["DNS:localhost", `IP:${loopback}`, `IP:${node}`, `IP:${apiService}`],
    },
    "apiserver-client": { subject: "/O=system:masters/CN=kube-apiserver-kubelet-client" },
    admin: { subject: "/O=system:masters/CN=admin" },
    kubelet: {
      subject: `/O=system:nodes/CN=system:node:${nodeName}`,
      names: [`DNS:${nodeName}`, `IP:${node}`],
    },
    "controller-manager": { subject: "/CN=system:kube-controller-manager" },
    scheduler: { subject: "/CN=system:kube-scheduler" },
  };
}

/** Makes the cluster's CA, certificates, service account key and kubeconfigs in a folder. */
export async function makePki(folder: string, place: Place): Promise<void> {
  await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
  await openssl(folder, "req", "-x509", ...key, "-subj", "/CN=e2e-cluster", "-keyout", "ca.key")
    .then((certificate) => Deno.writeTextFile(`${folder}/ca.crt`, certificate));
  for (const [name, { subject, names }] of Object.entries(identitiesOf(place))) {
    const extensions = [
      ...["-addext", "basicConstraints=critical,CA:FALSE"],
      ...["-addext", "extendedKeyUsage=serverAuth,clientAuth"],
      ...(names ? ["-addext", `subjectAltName=${names.join(",")}`] : []),
    ];
    const certificate = await openssl(
      folder,
      ...["req", "-x509", ...key, "-subj", subject, "-keyout", `${name}.key`],
      ...["-CA", "ca.crt", "-CAkey", "ca.key", ...extensions],
    );
    await Deno.writeTextFile(`${folder}/${name}.crt`, certificate);
    await Deno.writeTextFile(`${folder}/${name}.kubeconfig`, kubeconfig(folder, name, place));
  }
  await openssl(folder, "genrsa", "-out", "service-account.key", "2048");
  const publicKey = await openssl(folder, "rsa", "-in", "service-account.key", "-pubout");
  await Deno.writeTextFile(`${folder}/service-account.pub`, publicKey);
}

function kubeconfig(folder: string, name: string, { family }: Place): string {
  const server = `https://${family === "ipv6" ? "[::1]" : "127.0.0.1"}`;
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    "current-context": "e2e",
    clusters: [{
      name: "e2e",
      cluster: { server, "certificate-authority": `${folder}/ca.crt` },
    }],
    users: [{
      name,
      user: {
        "client-certificate": `${folder}/${name}.crt`,
        "client-key": `${folder}/${name}.key`,
      },
    }],
    contexts: [{ name: "e2e", context: { cluster: "e2e", user: name } }],
  });
}

async function openssl(cwd: string, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("openssl", { args, cwd }).output();
  const [out, words] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  if (!success) throw new Error(`openssl ${args[0]} failed: ${words}`);
  return out ?? "";
}
