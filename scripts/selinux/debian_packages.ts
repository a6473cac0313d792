/** The kernel for virtual machines: it has SELinux built in, and starts without modules. */
const kernel = "linux-image-cloud-amd64";
/** The policy, and the compilers of its modules and of the whole. */
const policyPackages = ["selinux-policy-default", "policycoreutils", "secilc"];

/** Writes `vmlinuz` into the folder; returns what went wrong. */
export async function fetchKernel(folder: string): Promise<string | undefined> {
  // The package of this name has no files; it depends on that of the newest version.
  const script = `set -e
    name=$(apt-cache depends ${kernel} | sed -n 's/^ *Depends: //p')
    ${extraction("$name")}
    cp files/boot/vmlinuz-* "$1/vmlinuz"`;
  return await inTemporaryFolder(script, folder);
}

/** Writes `policy`, Debian's policy with one more module; returns what went wrong. */
export async function makePolicy(folder: string, module: string): Promise<string | undefined> {
  // 33 is the highest version of the binary format that Linux 6.1 reads.
  const script = `set -e
    ${extraction(policyPackages.join(" "))}
    for packed in files/usr/share/selinux/default/*.pp.bz2; do
      bzip2 -dc "$packed" | files/usr/libexec/selinux/hll/pp >"$(basename "$packed" .pp.bz2).cil"
    done
    files/usr/bin/secilc --policyvers=33 --output="$1/policy" --filecontext=contexts *.cil "$2"`;
  return await inTemporaryFolder(script, folder, module);
}

/** Commands that unpack packages, without installing them, into the folder \`files\`. */
function extraction(packages: string): string {
  return `apt-get -qq -o APT::Sandbox::User=root download ${packages}
    for package in *.deb; do dpkg-deb --extract "$package" files; done`;
}

async function inTemporaryFolder(script: string, ...args: string[]): Promise<string | undefined> {
  const cwd = await Deno.makeTempDir({ prefix: "csi-cert-packages-" });
  try {
    const { success, stderr } = await new Deno.Command("nice", {
      args: ["-n", "19", "sh", "-c", script, "sh", ...args],
      cwd,
      stdin: "null",
      stdout: "null",
    }).output();
    if (success) return undefined;
    const lines = new TextDecoder().decode(stderr).trim().split("\n");
    return `Debian's kernel and policy cannot be had: ${lines.slice(-3).join("; ")}`;
  } finally {
    await Deno.remove(cwd, { recursive: true });
  }
}
