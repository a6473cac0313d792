/** Runs its arguments as on a kernel without IPv6: making an IPv6 socket fails with EAFNOSUPPORT. */

const PR_SET_SECCOMP = 22;
const PR_SET_NO_NEW_PRIVS = 38;
const SECCOMP_MODE_FILTER = 2n;
const SECCOMP_RET_ALLOW = 0x7fff0000;
const SECCOMP_RET_ERRNO = 0x00050000;
const AF_INET6 = 10;
const EAFNOSUPPORT = 97;
const socketCall = { x86_64: 41, aarch64: 198 }[Deno.build.arch];
const offsets = { call: 0, firstArgument: 16 };
/** BPF: load a word, go on where the word equals (else skip so many), return. */
const [load, jumpIfEqual, end] = [0x20, 0x15, 0x06];

const instructions: readonly [code: number, otherwise: number, operand: number][] = [
  [load, 0, offsets.call],
  [jumpIfEqual, 3, socketCall],
  [load, 0, offsets.firstArgument],
  [jumpIfEqual, 1, AF_INET6],
  [end, 0, SECCOMP_RET_ERRNO | EAFNOSUPPORT],
  [end, 0, SECCOMP_RET_ALLOW],
];
const code = new DataView(new ArrayBuffer(instructions.length * 8));
instructions.forEach(([operation, otherwise, operand], index) => {
  code.setUint16(index * 8, operation, true);
  code.setUint8(index * 8 + 3, otherwise);
  code.setUint32(index * 8 + 4, operand, true);
});
const program = new DataView(new ArrayBuffer(16));
program.setUint16(0, instructions.length, true);
program.setBigUint64(8, Deno.UnsafePointer.value(Deno.UnsafePointer.of(code)), true);

const libc = Deno.dlopen("libc.so.6", {
  prctl: { parameters: ["i32", "u64", "buffer", "u64", "u64"], result: "i32" },
});
const { prctl } = libc.symbols;
if (prctl(PR_SET_NO_NEW_PRIVS, 1n, null, 0n, 0n) !== 0) throw new Error("no_new_privs failed");
if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program.buffer, 0n, 0n) !== 0) {
  throw new Error("the seccomp filter was rejected");
}
const [command = "", ...args] = Deno.args;
const { code: exitCode } = await new Deno.Command(command, { args }).spawn().status;
Deno.exit(exitCode);
