import assert from "node:assert/strict";
import { DenialStore } from "../../../src/service/revocation/denial_store.ts";
import {
  type Denial,
  formatDenials,
  formatNodeDenials,
  type NodeDenial,
} from "../../../src/service/revocation/denial_format.ts";
import { Scheduler } from "../../../src/shared/scheduler/scheduler.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import { ScriptedDocument, start } from "../ca/rotation_fixture.ts";
import { comparable } from "../../support/comparable.ts";

function denial(podUid: string, given: Partial<Denial> = {}): Denial {
  return { podUid, at: start, forgetAt: start.add({ hours: 720 }), ...given };
}

/** A denial as the document contains it. */
function written({ podUid, at, forgetAt }: Denial) {
  return { podUid, at, until: forgetAt };
}

/** One replica's denials, on a clock that stands still. */
function replica(document: ScriptedDocument, clock = new FakeClock(start)) {
  const scheduler = new Scheduler({ clock, random: () => 1 });
  const denials = new DenialStore({ document, scheduler, clock });
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
  const later = { at: start.add({ hours: 1 }), forgetAt: start.add({ hours: 721 }) };
  await one.denials.save(denial("pod-1"));
  await one.denials.save(denial("pod-1", later));
  const expected = denial("pod-1", { forgetAt: later.forgetAt });
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
  for (const text of ["[]", '{"version":2}', '{"version":1,"denials":[{"podUid":"x"}]}']) {
    document.put({ "denials.json": text });
    await one.clock.until(() => one.denials.problem !== undefined);
    assert.equal(one.denials.get("pod-1")?.podUid, "pod-1");
    assert.equal(one.denials.isLoaded, true);
  }
});

Deno.test("a broken document whose denials were never read is not replaced by a new denial", async () => {
  const document = new ScriptedDocument();
  const broken = { "denials.json": "{", "node-denials.json": "{" };
  document.put(broken);
  await using one = replica(document);
  await assert.rejects(one.denials.save(denial("pod-1")), /^Error: denials\.json is broken/);
  const saving = one.denials.saveNode(nodeDenial("node-1"));
  await assert.rejects(saving, /^Error: node-denials\.json is broken/);
  assert.deepEqual(document.text?.data, broken);
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

Deno.test("a document full of denials that expired before a restart accepts a new one", async () => {
  const document = new ScriptedDocument();
  const expired = Array.from(
    { length: 4_000 },
    (_, at) => denial(`${at}`, { forgetAt: start.subtract({ hours: 1 }) }),
  );
  document.put({ "denials.json": formatDenials(expired) });
  await using one = replica(document);
  await one.denials.save(denial("pod-1"));
  assert.equal(one.denials.get("pod-1")?.podUid, "pod-1");
  assert.ok(document.text!.data["denials.json"]!.length < 1_000);
});

Deno.test("expired denials are removed from memory, and from the document with the next denial", async () => {
  const document = new ScriptedDocument();
  await using one = replica(document);
  await one.denials.save(denial("pod-1"));
  one.denials.forget(start.add({ hours: 721 }));
  assert.equal(one.denials.get("pod-1"), undefined);
  await one.denials.save(denial("pod-2", { forgetAt: start.add({ hours: 2000 }) }));
  assert.doesNotMatch(document.text?.data["denials.json"] ?? "", /pod-1/);
});

Deno.test("saving fails for a denial that cannot be written, and for one over the limit", async () => {
  const document = new ScriptedDocument();
  await using one = replica(document);
  document.failure = "the API server does not answer";
  await assert.rejects(one.denials.save(denial("pod-1")), /does not answer/);
  assert.equal(one.denials.get("pod-1"), undefined);
  document.failure = undefined;
  const denials = Array.from(
    { length: 4_000 },
    (_, at) => written(denial(`${"x".repeat(120)}${at}`)),
  );
  const text = JSON.stringify({ version: 1, denials });
  assert(text.length < 1_000_000, "a ConfigMap has to hold them");
  document.put({ "denials.json": text });
  await assert.rejects(one.denials.save(denial("pod-1")), /4000 pods are denied/);
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
  assert.deepEqual(two.denials.getNode("node-1"), nodeDenial("node-1"));
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
  assert.deepEqual(other.denials.getNode("node-1"), nodeDenial("node-1"));
});

Deno.test("a node that is denied twice is denied until the last time", async () => {
  await using one = replica(new ScriptedDocument());
  const later = { at: start.add({ hours: 1 }), forgetAt: start.add({ hours: 3 }) };
  await one.denials.saveNode(nodeDenial("node-1"));
  await one.denials.saveNode(nodeDenial("node-1", later));
  await one.denials.saveNode(nodeDenial("node-1"));
  assert.deepEqual(one.denials.getNode("node-1"), nodeDenial("node-1", later));
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
  assert.deepEqual(one.denials.getNode("node-1"), nodeDenial("node-1"));
});

Deno.test("the most denials that a document can contain fit into a ConfigMap, and no more are saved", async () => {
  const document = new ScriptedDocument();
  await using one = replica(document);
  const pods = Array.from({ length: 4_000 }, (_, at) => denial(`${at}`.padEnd(128, "x")));
  const nodes = Array.from({ length: 299 }, (_, at) => nodeDenial(`${at}`.padEnd(253, "x")));
  document.put({
    "denials.json": formatDenials(pods),
    "node-denials.json": formatNodeDenials(nodes),
  });
  await one.denials.saveNode(nodeDenial("last".padEnd(253, "x")));
  const size = Object.values(document.text!.data).reduce((sum, text) => sum + text.length, 0);
  assert(size < 1_040_000, `${size}`);
  await assert.rejects(one.denials.saveNode(nodeDenial("more")), /300 nodes are denied/);
});
