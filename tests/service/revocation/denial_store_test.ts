import assert from "node:assert/strict";
import { DenialStore } from "../../../src/service/revocation/denial_store.ts";
import {
  type Denial,
  type NodeDenial,
  nodeDenials,
  podDenials,
} from "../../../src/service/revocation/denial_format.ts";
import { Scheduler } from "../../../src/shared/scheduler/scheduler.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import { ScriptedDocument, start } from "../ca/rotation_fixture.ts";
import type { PodDirectory } from "../../../src/service/access/pod_authorization.ts";
import { clusterPod, ScriptedPods } from "../../support/scripted_pods.ts";
import { pod } from "../../support/service_fixture.ts";
import { fill } from "./full_list.ts";
import { comparable } from "../../support/comparable.ts";

function denial(podUid: string, given: Partial<Denial> = {}): Denial {
  return { podUid, pod: undefined, at: start, checkAt: start.add({ hours: 720 }), ...given };
}

/** A denial as the document contains it. */
function written({ podUid, pod, at, checkAt }: Denial) {
  return { podUid, ...pod, at, until: checkAt };
}

/** Texts that are no list of denials, and one of a version to come. */
const unreadable = ["{", "[]", '{"version":2}', '{"version":1,"denials":[{"podUid":"x"}]}'];

/** One replica's denials, on a clock that stands still. */
function replica(
  document: ScriptedDocument,
  clock = new FakeClock(start),
  pods?: PodDirectory,
) {
  const scheduler = new Scheduler({ clock, random: () => 1 });
  const denials = new DenialStore({ document, pods, scheduler, clock });
  const stopping = new AbortController();
  const running = denials.run(stopping.signal);
  return {
    clock,
    denials,
    [Symbol.asyncDispose]: async () => {
      stopping.abort();
      await running;
      await scheduler[Symbol.asyncDispose]();
    },
  };
}

Deno.test("a denial is in the document before it is saved, and another replica has it at once", async () => {
  const document = new ScriptedDocument();
  const clock = new FakeClock(start);
  await using one = replica(document, clock);
  await using two = replica(document, clock);
  await clock.until(() => one.denials.isLoaded && two.denials.isLoaded);
  await one.denials.save(denial("pod-1"));
  assert.match(document.text?.data["denials.json"] ?? "", /"pod-1"/);
  await clock.until(() => two.denials.get("pod-1") !== undefined);
  assert.deepEqual(comparable(two.denials.get("pod-1")), comparable(denial("pod-1")));
});

Deno.test("a restarted replica reports that it is loaded once it has read all denials", async () => {
  const document = new ScriptedDocument();
  {
    await using before = replica(document);
    await before.denials.save(denial("pod-1"));
  }
  document.failure = "the API server does not answer";
  await using after = replica(document);
  await after.clock.advance({ minutes: 1 });
  assert.equal(after.denials.isLoaded, false);
  assert.match(after.denials.problem ?? "", /does not answer/);
  document.failure = undefined;
  await after.clock.advance({ minutes: 6 });
  await after.denials.loaded;
  assert.deepEqual(comparable(after.denials.get("pod-1")), comparable(denial("pod-1")));
  assert.equal(after.denials.problem, undefined);
});

Deno.test("two replicas that deny at the same time lose neither denial", async () => {
  const document = new ScriptedDocument();
  await using one = replica(document);
  document.beforeWrite = (document) =>
    document.put({
      "denials.json": JSON.stringify({ version: 1, denials: [written(denial("pod-2"))] }),
      "other.json": "kept",
    });
  await one.denials.save(denial("pod-1"));
  assert.deepEqual([one.denials.get("pod-1"), one.denials.get("pod-2")].map((one) => one?.podUid), [
    "pod-1",
    "pod-2",
  ]);
  assert.equal(document.text?.data["other.json"], "kept");
});

Deno.test("a pod that is denied twice is denied since the first time, until the later end", async () => {
  await using one = replica(new ScriptedDocument());
  const later = { at: start.add({ hours: 1 }), checkAt: start.add({ hours: 721 }) };
  await one.denials.save(denial("pod-1"));
  await one.denials.save(denial("pod-1", later));
  const expected = denial("pod-1", { checkAt: later.checkAt });
  assert.deepEqual(comparable(one.denials.get("pod-1")), comparable(expected));
});

Deno.test("with a broken document nothing is signed at the start, and known denials are kept later", async () => {
  const document = new ScriptedDocument();
  document.put({ "denials.json": "{" });
  await using one = replica(document);
  await one.clock.until(() => /denials\.json is broken/.test(one.denials.problem ?? ""));
  assert.equal(one.denials.isLoaded, false);
  document.put(undefined);
  await one.clock.until(() => one.denials.isLoaded);
  await one.denials.save(denial("pod-1"));
  for (const text of unreadable) {
    document.put({ "denials.json": text });
    await one.clock.until(() => one.denials.problem !== undefined);
    assert.equal(one.denials.get("pod-1")?.podUid, "pod-1");
    assert.equal(one.denials.isLoaded, true);
    document.put({});
    await one.clock.until(() => one.denials.problem === undefined);
  }
});

Deno.test("a revocation on a document that cannot be read is refused, and erases nothing", async () => {
  const document = new ScriptedDocument();
  await using one = replica(document);
  for (const text of unreadable) {
    const broken = { "denials.json": text, "node-denials.json": text };
    // Before it was read for the first time, and later.
    for (const isLoaded of [false, true]) {
      if (isLoaded) {
        document.put(undefined);
        await one.clock.until(() => one.denials.isLoaded && one.denials.problem === undefined);
      }
      document.put(broken);
      const refusal =
        /^Error: denials\.json (is broken: correct it, or delete the ConfigMap csi-cert-denials|has version 2, .* upgrade it)/;
      await assert.rejects(one.denials.save(denial("pod-1")), refusal);
      await assert.rejects(
        one.denials.saveNode(nodeDenial("node-1")),
        /^Error: node-denials\.json (is broken|has version 2)/,
      );
      assert.deepEqual(document.text?.data, broken);
      assert.equal(one.denials.get("pod-1"), undefined);
    }
  }
});

Deno.test("pods can be denied while the list of nodes cannot be read", async () => {
  const document = new ScriptedDocument();
  await using one = replica(document);
  await using other = replica(document, one.clock);
  document.put({ "node-denials.json": "{" });
  await one.clock.until(() => one.denials.problem !== undefined);
  await one.denials.save(denial("pod-1"));
  await one.clock.until(() => other.denials.get("pod-1") !== undefined);
  assert.equal(document.text?.data["node-denials.json"], "{");
});

Deno.test("a deleted document is written again from memory, and a replica that starts without it reads it then", async () => {
  const document = new ScriptedDocument();
  await using one = replica(document);
  await using two = replica(document, one.clock);
  await one.denials.save(denial("pod-1", { pod: { namespace: "shop", name: "web-0" } }));
  await one.denials.saveNode(nodeDenial("node-1"));
  await one.clock.until(() => two.denials.getNode("node-1") !== undefined);
  document.failure = "the API server does not answer";
  document.put(undefined);
  await one.clock.until(() => one.denials.problem !== undefined);
  document.failure = undefined;
  await using three = replica(document, one.clock);
  await one.clock.until(() => three.denials.isLoaded);
  await one.clock.advance({ minutes: 5 });
  assert.deepEqual(comparable(three.denials.pods()), comparable(one.denials.pods()));
  assert.deepEqual(comparable(three.denials.getNode("node-1")), comparable(nodeDenial("node-1")));
  assert.match(
    document.text?.data["denials.json"] ?? "",
    /"pod-1","namespace":"shop","name":"web-0"/,
  );
});

Deno.test("a denial that is removed from the document is written again, unless its pod is gone", async () => {
  const document = new ScriptedDocument();
  const [live, gone] = [{ ...pod, uid: "live" }, { ...pod, name: "web-1", uid: "gone" }];
  const pods = new ScriptedPods(clusterPod(live));
  await using one = replica(document, new FakeClock(start), pods);
  const nameOf = ({ namespace, name }: typeof pod) => ({ pod: { namespace, name } });
  await one.denials.save(denial("live", nameOf(live)));
  await one.denials.save(denial("gone", nameOf(gone)));
  await one.denials.save(denial("unnamed"));
  const uids = () => one.denials.pods().map(({ podUid }) => podUid).sort();
  const written = () =>
    JSON.parse(document.text?.data["denials.json"] ?? "").denials
      .map(({ podUid }: Denial) => podUid).sort();
  document.put({ "denials.json": podDenials.format([]) });
  await one.clock.until(() => written().length > 0);
  assert.deepEqual([uids(), written()], [["live", "unnamed"], ["live", "unnamed"]]);

  pods.failure = "the API server does not answer";
  pods.delete(live);
  document.put({ "denials.json": podDenials.format([]) });
  await one.clock.until(() => written().length > 0);
  assert.deepEqual(uids(), ["live", "unnamed"]);
});

Deno.test("a document of an earlier version is read, and the names that such a version loses are written again", async () => {
  const document = new ScriptedDocument();
  const old = JSON.stringify({
    version: 1,
    denials: [{ podUid: "pod-1", at: String(start), until: String(start.add({ hours: 720 })) }],
  });
  document.put({ "denials.json": old });
  await using one = replica(document);
  await one.clock.until(() => one.denials.get("pod-1") !== undefined);
  assert.deepEqual(comparable(one.denials.pods()), comparable([denial("pod-1")]));
  const named = denial("pod-1", { pod: { namespace: "shop", name: "web-0" } });
  await one.denials.save(named);
  document.put({ "denials.json": old });
  await one.clock.until(() => /web-0/.test(document.text?.data["denials.json"] ?? ""));
  assert.deepEqual(comparable(one.denials.pods()), comparable([named]));
});

Deno.test("a name that is none of Kubernetes makes the document broken", async () => {
  const document = new ScriptedDocument();
  await using one = replica(document);
  for (const pod of [{ namespace: "shop" }, { namespace: "shop", name: "../x" }]) {
    const text = JSON.stringify({
      version: 1,
      denials: [{ podUid: "pod-1", ...pod, at: String(start), until: String(start) }],
    });
    document.put({ "denials.json": text });
    await one.clock.until(() => /is broken/.test(one.denials.problem ?? ""));
    document.put(undefined);
    await one.clock.until(() => one.denials.problem === undefined);
  }
});

/** A document whose next write has its answer late. */
class SlowDocument extends ScriptedDocument {
  late: Promise<void> | undefined;

  override async write(data: Readonly<Record<string, string>>, version: string | undefined) {
    const isWritten = await super.write(data, version);
    const { late } = this;
    this.late = undefined;
    await late;
    return isWritten;
  }
}

Deno.test("the late answer to a write does not replace a later denial", async () => {
  const document = new SlowDocument();
  await using one = replica(document);
  await using other = replica(document, one.clock);
  await one.clock.until(() => one.denials.isLoaded);
  const answer = Promise.withResolvers<void>();
  document.late = answer.promise;
  const first = one.denials.save(denial("pod-1"));
  await one.clock.until(() => document.late === undefined);
  const second = one.denials.save(denial("pod-2"));
  await other.denials.save(denial("pod-3"));
  await one.clock.advance({ milliseconds: 0 });
  answer.resolve();
  await Promise.all([first, second]);
  await one.clock.advance({ milliseconds: 0 });
  for (const uid of ["pod-1", "pod-2", "pod-3"]) assert.ok(one.denials.get(uid), uid);
});

Deno.test("saving fails for a denial that cannot be written", async () => {
  const document = new ScriptedDocument();
  await using one = replica(document);
  document.failure = "the API server does not answer";
  await assert.rejects(one.denials.save(denial("pod-1")), /does not answer/);
  assert.equal(one.denials.get("pod-1"), undefined);
});

function nodeDenial(node: string, given: Partial<NodeDenial> = {}): NodeDenial {
  return { node, at: start, forgetAt: start.add({ hours: 2 }), ...given };
}

Deno.test("the denials of nodes have their own key, and another replica reports their change", async () => {
  const document = new ScriptedDocument();
  const clock = new FakeClock(start);
  await using one = replica(document, clock);
  await using two = replica(document, clock);
  await clock.until(() => one.denials.isLoaded && two.denials.isLoaded);
  let changes = 0;
  const subscription = two.denials.onNodesChange(() => changes++);
  await one.denials.save(denial("pod-1"));
  await one.denials.saveNode(nodeDenial("node-1"));
  await clock.until(() => two.denials.getNode("node-1") !== undefined);
  assert.deepEqual(comparable(two.denials.getNode("node-1")), comparable(nodeDenial("node-1")));
  assert.equal(changes, 1);
  subscription[Symbol.dispose]();
  await one.denials.saveNode(nodeDenial("node-2"));
  await clock.until(() => two.denials.getNode("node-2") !== undefined);
  assert.equal(changes, 1);
  const { data } = document.text!;
  assert.deepEqual(Object.keys(data).sort(), ["denials.json", "node-denials.json"]);
  // What a version without the denials of nodes reads is as it was.
  assert.deepEqual(JSON.parse(data["denials.json"] ?? ""), {
    version: 1,
    denials: [{ podUid: "pod-1", at: String(start), until: String(start.add({ hours: 720 })) }],
  });
});

Deno.test("a replica of a version without denials of nodes keeps them when it writes", async () => {
  const document = new ScriptedDocument();
  await using one = replica(document);
  await one.denials.saveNode(nodeDenial("node-1"));
  // Such a replica writes what it read, and its own key again.
  document.put({
    ...document.text?.data,
    "denials.json": JSON.stringify({ version: 1, denials: [] }),
  });
  await one.denials.save(denial("pod-1"));
  await using other = replica(document);
  await other.clock.until(() => other.denials.isLoaded);
  assert.deepEqual(comparable(other.denials.getNode("node-1")), comparable(nodeDenial("node-1")));
});

Deno.test("a node that is denied twice is denied until the last time", async () => {
  await using one = replica(new ScriptedDocument());
  const later = { at: start.add({ hours: 1 }), forgetAt: start.add({ hours: 3 }) };
  await one.denials.saveNode(nodeDenial("node-1"));
  await one.denials.saveNode(nodeDenial("node-1", later));
  await one.denials.saveNode(nodeDenial("node-1"));
  assert.deepEqual(
    comparable(one.denials.getNode("node-1")),
    comparable(nodeDenial("node-1", later)),
  );
});

Deno.test("the denial of a node is removed from the document once its certificates have expired", async () => {
  const document = new ScriptedDocument();
  await using one = replica(document);
  await one.denials.saveNode(nodeDenial("node-1"));
  await one.clock.advance({ hours: 3 });
  const fresh = { at: start.add({ hours: 3 }), forgetAt: start.add({ hours: 5 }) };
  await one.denials.saveNode(nodeDenial("node-2", fresh));
  assert.doesNotMatch(document.text?.data["node-denials.json"] ?? "", /node-1/);
  assert.equal(one.denials.getNode("node-1"), undefined);
});

Deno.test("a broken list of nodes is reported with its key, and the known one remains in use", async () => {
  const document = new ScriptedDocument();
  await using one = replica(document);
  await one.denials.saveNode(nodeDenial("node-1"));
  document.put({ "node-denials.json": '{"version":1,"nodes":[{"node":7}]}' });
  await one.clock.until(() => /node-denials\.json is broken/.test(one.denials.problem ?? ""));
  assert.deepEqual(comparable(one.denials.getNode("node-1")), comparable(nodeDenial("node-1")));
});

Deno.test("the most denials that a document can contain fit into a ConfigMap, and no more are saved", async () => {
  const document = new ScriptedDocument();
  await using one = replica(document);
  const longest = { pod: { namespace: "n".repeat(63), name: "p".repeat(253) } };
  // As many bytes as fit, and the longest texts.
  const pods = fill(podDenials, (at) => denial(`${at}`.padStart(36, "0"), longest));
  const nodes = fill(nodeDenials, (at) => nodeDenial(`${at}`.padEnd(253, "x")));
  document.put({
    "denials.json": podDenials.format(pods),
    "node-denials.json": nodeDenials.format(nodes),
  });
  assert.ok(pods.length > 1_900 && nodes.length > 300, `${pods.length} ${nodes.length}`);
  const size = Object.values(document.text!.data).reduce((sum, text) => sum + text.length, 0);
  assert(size < 1_040_000, `${size}`);
  const before = document.text;
  await assert.rejects(
    one.denials.save(denial("f".repeat(36), longest)),
    new RegExp(`${pods.length} pods are denied, which is the most`),
  );
  await assert.rejects(
    one.denials.saveNode(nodeDenial("more".padEnd(253, "x"))),
    new RegExp(`${nodes.length} nodes are denied, which is the most`),
  );
  assert.equal(document.text, before);
});
