import assert from "node:assert/strict";
import fc from "fast-check";
import {
  parsePublishRequest,
  parseUnpublishRequest,
  type PublishCall,
} from "../../../src/driver/csi/request_validation.ts";
import { rawRequest } from "../../support/node.ts";

const uid = "d061cd0d-237f-40ed-ac10-a5d56e0c7e9e";
const root = "/var/lib/kubelet";
const good = rawRequest(root, uid);
const podKey = (key: string) => `csi.storage.k8s.io/${key}`;

function problemsOf(change: Partial<PublishCall>): string {
  const parsed = parsePublishRequest({ ...good, ...change });
  return parsed.kind === "refused" ? parsed.reason : parsed.request.rejectionReason ?? "accepted";
}

function withContext(key: string, value: string | undefined): Partial<PublishCall> {
  const { [key]: _gone, ...rest } = good.volumeContext;
  return { volumeContext: value === undefined ? rest : { ...rest, [key]: value } };
}

const volumes = "/var/lib/kubelet/pods";
const rest = "volumes/kubernetes.io~csi/certs/mount";

// What is sent, and what the answer must name: the field, the value, what is accepted.
const refusals: [string, Partial<PublishCall>, RegExp][] = [
  ["no volume id", { volumeId: "" }, /volume_id: is empty, expected 1 to 128/],
  ["a volume id with a slash", { volumeId: "a/b" }, /volume_id: is "a\/b"/],
  ["a volume id of two dots", { volumeId: ".." }, /volume_id/],
  ["a volume id of 129 characters", { volumeId: "a".repeat(129) }, /volume_id/],
  ["no target path", { targetPath: "" }, /target_path: is empty, expected an absolute path/],
  ["a relative target", { targetPath: `pods/${uid}/${rest}` }, /target_path: is "pods/],
  ["a target with ..", { targetPath: `${volumes}/x/../${uid}/${rest}` }, /target_path/],
  ["a target with .", { targetPath: `/./pods/${uid}/${rest}` }, /target_path/],
  ["a target with an empty part", { targetPath: `//pods/${uid}/${rest}` }, /target_path/],
  ["a target with a NUL", { targetPath: `${volumes}/${uid}/${rest}\0` }, /target_path/],
  ["another pod's target", { targetPath: `${volumes}/other/${rest}` }, /target_path.*POD|target/],
  ["a target elsewhere", { targetPath: "/etc" }, /target_path: is "\/etc"/],
  [
    "a target that is too long",
    { targetPath: `/${"a".repeat(4096)}/pods/${uid}/${rest}` },
    /target/,
  ],
  ["a volume name of two dots", {
    targetPath: `${volumes}/${uid}/volumes/kubernetes.io~csi/../mount`,
  }, /target_path/],
  ["a block volume", { access: "block" }, /access_type: is block, expected mount/],
  ["no capability", { access: undefined, accessMode: undefined }, /access_type: is missing/],
  ["no access mode", { accessMode: undefined }, /access_mode: is missing/],
  ["an unknown access mode", { accessMode: "UNKNOWN" }, /access_mode: is UNKNOWN, expected SINGLE/],
  ["an access mode of many nodes", { accessMode: "MULTI_NODE_MULTI_WRITER" }, /access_mode/],
  ["a file system type", { fsType: "ext4" }, /fs_type: is "ext4", expected nothing or tmpfs/],
  ["mount flags", { mountFlags: ["exec"] }, /mount_flags/],
  ["a group by name", { volumeMountGroup: "root" }, /volume_mount_group: is "root"/],
  ["a negative group", { volumeMountGroup: "-1" }, /volume_mount_group/],
  ["the group that means no change", { volumeMountGroup: "4294967295" }, /volume_mount_group/],
  ["no ephemeral flag", withContext(podKey("ephemeral"), undefined), /ephemeral.*is missing/],
  ["a persistent volume", withContext(podKey("ephemeral"), "false"), /ephemeral.*is "false"/],
  [
    "no pod name",
    withContext(podKey("pod.name"), undefined),
    /pod\.name.*is missing.*podInfoOnMount/,
  ],
  ["no namespace", withContext(podKey("pod.namespace"), undefined), /pod\.namespace.*is missing/],
  ["no uid", withContext(podKey("pod.uid"), undefined), /pod\.uid.*is missing/],
  ["no service account", withContext(podKey("serviceAccount.name"), undefined), /serviceAccount/],
  ["a pod name with a slash", withContext(podKey("pod.name"), "a/b"), /pod\.name.*is "a\/b"/],
  ["a pod name of 254", withContext(podKey("pod.name"), "a".repeat(254)), /pod\.name/],
  ["an upper-case namespace", withContext(podKey("pod.namespace"), "Shop"), /pod\.namespace/],
  ["an unknown attribute", withContext("colour", "red"), /"colour".*is "red".*dns-names/],
  ["an empty attribute", withContext("duration", ""), /"duration".*is ""/],
  ["10 kB of attribute", withContext("dns-names", "a".repeat(10_000)), /dns-names.*4096 char/],
  ["an attribute that was not UTF-8", withContext("dns-names", "a\ufffd"), /dns-names.*printable/],
  ["a bad duration", withContext("duration", "1 day"), /duration.*is "1 day"/],
  ["no validity", withContext("validity_days", "0"), /validity_days.*is "0"/],
  ["a negative validity", withContext("validity_days", "-7"), /validity_days.*is "-7"/],
  ["an absurd validity", withContext("validity_days", "999999"), /validity_days/],
  ["an absurd duration", withContext("duration", "9999999h"), /duration/],
  ["a bad template", withContext("cn_template", "{metadata.nam}"), /cn_template.*metadata\.name/],
  ["a bad DNS name", withContext("dns-names", "a..b"), /dns-names.*is "a\.\.b"/],
  ["a bad IP address", withContext("ip-sans", "10.0.0.256"), /ip-sans/],
  ["an unsupported key", withContext("key-algorithm", "dsa"), /key-algorithm.*ecdsa/],
];

for (const [what, change, names] of refusals) {
  Deno.test(`a publish with ${what} is refused by a sentence that names it`, () => {
    const sentence = problemsOf(change);
    assert.match(sentence, names);
    assert.ok(sentence.length < 3_000, "the event is still readable");
  });
}

Deno.test("all problems are reported together", () => {
  const sentence = problemsOf({ volumeId: "", access: "block", ...withContext("a", "b") });
  for (const field of ["volume_id", "access_type", `"a"`]) assert.ok(sentence.includes(field));
});

Deno.test("what a newer kubelet adds is ignored, and no token is kept", () => {
  const parsed = parsePublishRequest({
    ...good,
    volumeContext: {
      ...good.volumeContext,
      [podKey("serviceAccount.tokens")]: "secret",
      [podKey("something.new")]: "x",
      duration: "1h",
    },
  });
  assert.equal(parsed.kind, "request");
  assert.deepEqual(parsed.kind === "request" && parsed.request.attributes, { duration: "1h" });
  assert.ok(!JSON.stringify(parsed).includes("secret"));
});

Deno.test("a group, any kubelet root and tmpfs as file system type are accepted", () => {
  const targetPath = `/data/k0s/kubelet/pods/${uid}/volumes/kubernetes.io~csi/my-certs/mount`;
  const parsed = parsePublishRequest({
    ...good,
    targetPath,
    fsType: "tmpfs",
    volumeMountGroup: "2000",
  });
  assert.ok(parsed.kind === "request");
  assert.equal(parsed.request.group, 2000);
  assert.equal(parsed.request.volumeName, "my-certs");
});

Deno.test("an unpublish needs a volume id and a target in a pod's directory", () => {
  const { volumeId, targetPath } = good;
  assert.equal(parseUnpublishRequest({ volumeId, targetPath }).kind, "request");
  for (const bad of [{ volumeId: "" }, { targetPath: "" }, { targetPath: "/etc" }]) {
    assert.equal(parseUnpublishRequest({ volumeId, targetPath, ...bad }).kind, "refused");
  }
});

Deno.test("whatever is sent, the answer is a request inside its pod's directory or a refusal", () => {
  const text = fc.oneof(fc.string(), fc.constantFrom("", "..", "/", uid, good.targetPath));
  fc.assert(fc.property(text, text, text, fc.dictionary(text, text), (id, target, group, extra) => {
    const parsed = parsePublishRequest({
      ...good,
      volumeId: id,
      targetPath: target,
      volumeMountGroup: group,
      volumeContext: { ...extra, ...good.volumeContext },
    });
    if (parsed.kind === "request") assert.ok(parsed.request.targetPath.includes(`/pods/${uid}/`));
    else assert.ok(parsed.reason.length > 0);
  }));
});
