import assert from "node:assert/strict";
import { join } from "node:path";
import { kubeconfigAccess } from "../../src/kubernetes/kubeconfig.ts";
import { temporaryFolder } from "../support/temporary_folder.ts";

type Parts = Readonly<Record<string, unknown>>;

/** A kubeconfig of one context, beside the files that it names. */
async function open() {
  const folder = await temporaryFolder();
  const path = join(folder.path, "config");
  await Deno.mkdir(join(folder.path, "pki"));
  return {
    path,
    file: (name: string, text: string) => Deno.writeTextFile(join(folder.path, name), text),
    write: (
      { cluster, user, ...changed }: { cluster?: Parts; user?: Parts; [part: string]: unknown },
    ) =>
      Deno.writeTextFile(
        path,
        JSON.stringify({
          "current-context": "here",
          contexts: [
            { name: "there", context: { cluster: "two", user: "other" } },
            { name: "here", context: { cluster: "one", user: "me" } },
          ],
          clusters: [
            { name: "two", cluster: { server: "https://elsewhere" } },
            { name: "one", cluster: { server: "https://10.0.0.1:6443/", ...cluster } },
          ],
          users: [{ name: "other", user: { token: "other" } }, { name: "me", user: user ?? {} }],
          ...changed,
        }),
      ),
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

Deno.test("files that a kubeconfig names lie beside it, and are read at each use", async () => {
  await using config = await open();
  await config.file("pki/ca.crt", "the CA");
  await config.file("pki/me.crt", "certificate");
  await config.file("pki/me.key", "key");
  await config.file("token", "first\n");
  await config.write({
    cluster: { "certificate-authority": "pki/ca.crt" },
    user: {
      "client-certificate": "pki/me.crt",
      "client-key": "pki/me.key",
      tokenFile: "token",
      token: "",
    },
  });
  const access = kubeconfigAccess(config.path);
  assert.equal(access.server, "https://10.0.0.1:6443");
  assert.equal(await access.authorityPem(), "the CA");
  const identity = { certificatePem: "certificate", privateKeyPem: "key" };
  assert.deepEqual(await access.identity(), identity);
  assert.equal(await access.token(), "first");
  await config.file("token", "second");
  assert.equal(await access.token(), "second");
});

Deno.test("what a kubeconfig holds itself goes before a file that it names", async () => {
  await using config = await open();
  await config.write({
    cluster: {
      "certificate-authority": "absent",
      "certificate-authority-data": btoa("the CA"),
    },
    user: {
      "client-certificate": "absent",
      "client-certificate-data": btoa("certificate"),
      "client-key-data": btoa("key"),
    },
  });
  const access = kubeconfigAccess(config.path);
  assert.equal(await access.authorityPem(), "the CA");
  const identity = { certificatePem: "certificate", privateKeyPem: "key" };
  assert.deepEqual(await access.identity(), identity);
  assert.equal(await access.token(), undefined);
});

Deno.test("without a certificate of ours and without a CA a kubeconfig names neither", async () => {
  await using config = await open();
  await config.write({ user: { token: "t", "client-certificate-data": btoa("without its key") } });
  const access = kubeconfigAccess(config.path);
  assert.equal(await access.authorityPem(), undefined);
  assert.equal(await access.identity(), undefined);
  assert.equal(await access.token(), "t");
});

Deno.test("a kubeconfig without a way to the server, or with one that would be ignored, is refused", async () => {
  await using config = await open();
  const refused: [parts: Parameters<typeof config.write>[0], problem: RegExp][] = [
    [{ "current-context": "nowhere" }, /its current context has no cluster/],
    [{ "current-context": undefined }, /its current context has no cluster/],
    [{ contexts: "none" }, /its current context has no cluster/],
    [{ clusters: [null, { name: "one" }] }, /its current context has no cluster/],
    [{ users: [] }, /its current context has no user/],
    [{ cluster: { server: "http://10.0.0.1" } }, /server is http:.*expected https:/],
    [{ cluster: { server: 6443 } }, /expected https:/],
    [{ cluster: { "insecure-skip-tls-verify": true } }, /insecure-skip-tls-verify/],
    [{ cluster: { "tls-server-name": "a" } }, /tls-server-name/],
    [{ user: { "auth-provider": { name: "gcp" } } }, /an auth-provider/],
    [{ user: { as: "somebody" } }, /impersonation/],
  ];
  for (const [parts, problem] of refused) {
    await config.write(parts);
    assert.throws(() => kubeconfigAccess(config.path), problem, JSON.stringify(parts));
    assert.throws(
      () => kubeconfigAccess(config.path),
      new RegExp(`^Error: KUBECONFIG ${config.path}: `),
    );
  }
  for (const text of ["", "[]", "42", "null"]) {
    await Deno.writeTextFile(config.path, text);
    assert.throws(() => kubeconfigAccess(config.path), /has no cluster/, text);
  }
});
