/** The kernel for virtual machines: SELinux is built in, and it starts without modules. */
const kernel = "linux-image-cloud-amd64";
/** The policy, and the compilers of its modules and of the whole. */
const policyPackages = ["selinux-policy-default", "policycoreutils", "secilc"];

/** Unpacks the packages into \`files\`, without installing them; the newest kernel's files are in one that it depends on. */
const download = `set -e
  newest=$(apt-cache depends ${kernel} | sed -n 's/^ *Depends: //p')
  apt-get -qq -o APT::Sandbox::User=root download ${kernel} $newest ${policyPackages.join(" ")}
  for package in *.deb; do dpkg-deb --extract "$package" files; done`;

/** Version 33 is the highest of a binary policy that Linux 6.1 reads. */
const compile = `set -e
  for packed in files/usr/share/selinux/default/*.pp.bz2; do
    bzip2 -dc "$packed" | files/usr/libexec/selinux/hll/pp >"$(basename "$packed" .pp.bz2).cil"
  done
  files/usr/bin/secilc --policyvers=33 --output="$1/policy" --filecontext=contexts *.cil "$2"
  cp files/boot/vmlinuz-* "$1/vmlinuz"`;

/**
 * Writes Debian's kernel as `vmlinuz` into the folder, and Debian's policy with a further module as
 * `policy`. Returns why the packages cannot be downloaded.
 */
export async function makeKernelAndPolicy(
  folder: string,
  module: string,
): Promise<string | undefined> {
  const cwd = await Deno.makeTempDir({ prefix: "csi-cert-packages-" });
  try {
    const problem = await problemOf(cwd, download);
    if (problem !== undefined) return `cannot download Debian's kernel and policy: ${problem}`;
    const error = await problemOf(cwd, compile, folder, module);
    if (error !== undefined) throw new Error(`cannot compile the policy with ${module}: ${error}`);
  } finally {
    await Deno.remove(cwd, { recursive: true });
  }
}

/** The last lines that a script wrote, where it failed. */
async function problemOf(
  cwd: string,
  script: string,
  ...args: string[]
): Promise<string | undefined> {
  const { success, stderr } = await new Deno.Command("nice", {
    args: ["-n", "19", "sh", "-c", script, "sh", ...args],
    cwd,
    stdin: "null",
    stdout: "null",
  }).output();
  if (success) return undefined;
  return new TextDecoder().decode(stderr).trim().split("\n").slice(-3).join("; ");
}
