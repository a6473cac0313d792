/** One program's certificate: its subject and, for servers, the names it answers to. */
interface Identity {
  readonly subject: string;
  readonly names?: readonly string[];
}

const nodeAddress = "10.88.0.1";

/** The cluster's own certificates; nothing of this has to do with the CA that signs for pods. */
const identities = (nodeName: string): Readonly<Record<string, Identity>> => ({
  apiserver: {
    subject: "/CN=kube-apiserver",
    names: ["DNS:localhost", "IP:127.0.0.1", `IP:${nodeAddress}`, "IP:10.96.0.1"],
  },
  "apiserver-client": { subject: "/O=system:masters/CN=kube-apiserver-kubelet-client" },
  admin: { subject: "/O=system:masters/CN=admin" },
  kubelet: {
    subject: `/O=system:nodes/CN=system:node:${nodeName}`,
    names: [`DNS:${nodeName}`, `IP:${nodeAddress}`],
  },
  "controller-manager": { subject: "/CN=system:kube-controller-manager" },
  scheduler: { subject: "/CN=system:kube-scheduler" },
});

/** Makes the cluster's CA, certificates, service account key and kubeconfigs in a folder. */
export async function makePki(folder: string, nodeName: string): Promise<void> {
  await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
  await openssl(folder, "req", "-x509", ...key, "-subj", "/CN=e2e-cluster", "-keyout", "ca.key")
    .then((certificate) => Deno.writeTextFile(`${folder}/ca.crt`, certificate));
  for (const [name, { subject, names }] of Object.entries(identities(nodeName))) {
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
    await Deno.writeTextFile(`${folder}/${name}.kubeconfig`, kubeconfig(folder, name));
  }
  await openssl(folder, "genrsa", "-out", "service-account.key", "2048");
  const publicKey = await openssl(folder, "rsa", "-in", "service-account.key", "-pubout");
  await Deno.writeTextFile(`${folder}/service-account.pub`, publicKey);
}

function kubeconfig(folder: string, name: string): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    "current-context": "e2e",
    clusters: [{
      name: "e2e",
      cluster: { server: `https://127.0.0.1`, "certificate-authority": `${folder}/ca.crt` },
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
