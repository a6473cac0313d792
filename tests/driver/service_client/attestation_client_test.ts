import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { createServer, type Socket } from "node:net";
import {
  attest,
  type AttestationOutcome,
} from "../../../src/driver/service_client/attestation_client.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import { TestCa, type TestPair } from "../../../scripts/support/test_ca.ts";
import {
  driverFiles,
  nodeCertificate,
  type RawEndpoint,
  requestOf,
  response,
  serveAttestation,
  serveRaw,
  serverName,
  token,
} from "./attestation_endpoint.ts";

const never = new AbortController().signal;

interface Attempt {
  readonly ca: TestCa;
  readonly port: number;
  readonly clock?: FakeClock;
  readonly signal?: AbortSignal;
  readonly files?: { readonly caFile?: string; readonly tokenFile?: string };
}

/** One attempt against a port; no outcome contains the token or a private key but an identity's own. */
async function attempt({ ca, port, clock, signal, files }: Attempt): Promise<AttestationOutcome> {
  await using own = await driverFiles(ca);
  const { caFile, tokenFile } = own;
  const endpoint = { hostname: "127.0.0.1", port, serverName, caFile, tokenFile, ...files };
  const outcome = await attest(endpoint, clock ?? new FakeClock(), signal ?? never);
  const { privateKeyPem: _, ...rest } = outcome.kind === "identity"
    ? outcome
    : { ...outcome, privateKeyPem: "" };
  const text = JSON.stringify(rest);
  assert.ok(!text.includes(token), text);
  assert.ok(!text.includes("PRIVATE KEY"), text);
  return outcome;
}

function reasonOf(outcome: AttestationOutcome): string {
  return outcome.kind === "identity" ? assert.fail("is an identity") : outcome.reason;
}

Deno.test("the token is exchanged for a certificate of a key that was made for it", async () => {
  const ca = await TestCa.create();
  await using endpoint = await serveAttestation(ca);
  const [first, second] = [
    await attempt({ ca, port: endpoint.port }),
    await attempt({ ca, port: endpoint.port }),
  ];
  assert.ok(first.kind === "identity" && second.kind === "identity");
  assert.notEqual(first.privateKeyPem, second.privateKeyPem);
  const leaf = new X509Certificate(first.certificatePem);
  assert.match(leaf.subjectAltName ?? "", /spiffe:\/\/cluster.local\/csi-cert-node\/node-1/);
  assert.ok(Math.abs(first.lifetimeMs - 3_600_000) < 2_000, `${first.lifetimeMs}`);
  const [head = ""] = endpoint.received[0]?.split("\r\n\r\n") ?? [];
  assert.match(head, /^POST \/v1\/node-certificate HTTP\/1\.1\r\nHost: cert-service\./);
  assert.match(head, /\r\nConnection: close$/);
});

Deno.test("each refusal is an outcome with the service's sentence", async () => {
  const ca = await TestCa.create();
  const answers: [string, AttestationOutcome["kind"], RegExp][] = [
    [response(401, { error: "the token has expired" }), "refused", /: the token has expired$/],
    [response(403, { error: "is gone" }), "refused", /does not attest this node: is gone$/],
    [response(429, { error: "slow down" }, ["Retry-After: 7"]), "overloaded", /slow down/],
    [response(503, { error: "no keys" }), "overloaded", /no keys/],
    [response(503, "x", ["Retry-After: Wed, 21 Oct"]), "overloaded", /503 without a reason/],
    [response(400, { error: "malformed" }), "unavailable", /status 400: malformed/],
    [response(500, {}), "unavailable", /status 500 without a reason/],
    [response(302, {}, ["Location: https://elsewhere"]), "unavailable", /status 302/],
    [response(403, { error: `${token} is no good\n${"x".repeat(500)}` }), "refused", /TOKEN is/],
  ];
  const pending = answers.map(([text]) => text);
  await using endpoint = await serveRaw(await ca.issue(serverName), (socket, text) => {
    if (requestOf(text) !== undefined) socket.end(pending.shift()!);
  });
  for (const [, kind, reason] of answers) {
    const outcome = await attempt({ ca, port: endpoint.port });
    assert.equal(outcome.kind, kind);
    assert.match(reasonOf(outcome), reason);
    assert.match(reasonOf(outcome), /^[\x20-\x7e]{1,400}$/);
    if (outcome.kind !== "overloaded") continue;
    assert.equal(outcome.retryAfterMs, reason.source.includes("slow") ? 7_000 : undefined);
  }
  assert.equal(endpoint.accepted, answers.length);
});

Deno.test("a certificate for another key, without a life or without sense is no identity", async () => {
  const ca = await TestCa.create();
  const other = await ca.issue("spiffe://a/b");
  const broken = "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n";
  let answer: (request: Record<string, string>) => Promise<unknown>;
  await using endpoint = await serveRaw(await ca.issue(serverName), async (socket, text) => {
    const request = requestOf(text);
    if (request !== undefined) socket.end(response(200, await answer(request)));
  });
  const answers: (typeof answer)[] = [
    () => Promise.resolve({ certificateChain: other.certificatePem }),
    () => Promise.resolve({ certificateChain: "" }),
    () => Promise.resolve({ certificateChain: broken }),
    () => Promise.resolve({ certificateChain: 7 }),
    () => Promise.resolve([]),
    () => Promise.resolve(null),
    (request) => nodeCertificate(ca, request, -1_000),
    async (request) => ({
      certificateChain: (await nodeCertificate(ca, request)).certificateChain + "\n" + broken,
    }),
  ];
  for (const each of answers) {
    answer = each;
    const outcome = await attempt({ ca, port: endpoint.port });
    assert.equal(outcome.kind, "unavailable", `${each}`);
  }
});

Deno.test("a server that is not the service never sees the token", async () => {
  const [ca, foreign] = [await TestCa.create(), await TestCa.create("Foreign CA")];
  const broken = "\n-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n";
  const pod = await ca.issue("web-0.shop.pod.cluster.local");
  const impostors: [TestPair, Parameters<typeof serveRaw>[2], RegExp][] = [
    [await foreign.issue(serverName), {}, /the trust bundle does not verify its certificate/],
    [pod, {}, /bears another name/],
    [await ca.issue("127.0.0.1"), {}, /bears another name/],
    [{ ...pod, certificatePem: pod.certificatePem + broken }, {}, /./],
    [await ca.issue(serverName), { maxVersion: "TLSv1.2" }, /ProtocolVersion/],
    [await ca.issue(serverName), { ALPNProtocols: ["h2"] }, /NoApplicationProtocol/],
    [await ca.issue(serverName), { ALPNProtocols: [] }, /does not speak HTTP\/1\.1/],
  ];
  for (const [pair, options, reason] of impostors) {
    await using endpoint = await serveRaw(pair, () => {}, options);
    const outcome = await attempt({ ca, port: endpoint.port });
    assert.equal(outcome.kind, "unavailable");
    assert.match(reasonOf(outcome), reason);
    assert.equal(endpoint.received.join(""), "");
    assert.equal(endpoint.accepted, 1);
  }
});

Deno.test("the environment cannot make the driver trust another server", async () => {
  const [ca, foreign] = [await TestCa.create(), await TestCa.create("Foreign CA")];
  const before = Deno.env.get("NODE_TLS_REJECT_UNAUTHORIZED");
  Deno.env.set("NODE_TLS_REJECT_UNAUTHORIZED", "0");
  try {
    await using endpoint = await serveRaw(await foreign.issue(serverName), () => {});
    assert.equal((await attempt({ ca, port: endpoint.port })).kind, "unavailable");
    assert.equal(endpoint.received.join(""), "");
  } finally {
    if (before === undefined) Deno.env.delete("NODE_TLS_REJECT_UNAUTHORIZED");
    else Deno.env.set("NODE_TLS_REJECT_UNAUTHORIZED", before);
  }
});

Deno.test("a missing or unusable file is named, and nothing is connected to", async () => {
  const ca = await TestCa.create();
  await using endpoint = await serveAttestation(ca);
  const { port } = endpoint;
  await using files = await driverFiles(ca);
  const bad = `${files.caFile}.bad`;
  const missing: [Attempt["files"], RegExp][] = [
    [
      { caFile: "/nowhere/ca.crt" },
      /^the trust bundle \/nowhere\/ca.crt \(CERT_SERVICE_CA_FILE\) does not exist$/,
    ],
    [
      { tokenFile: "/nowhere/t" },
      /^the token file \/nowhere\/t \(CERT_SERVICE_TOKEN_FILE\) does not exist$/,
    ],
    [
      { caFile: bad },
      /CERT_SERVICE_CA_FILE\) cannot be used: the trust bundle holds no PEM certificate/,
    ],
  ];
  for (const text of ["", "nonsense"]) {
    await Deno.writeTextFile(bad, text);
    for (const [own, reason] of missing) {
      const outcome = await attempt({ ca, port, files: own! });
      assert.equal(outcome.kind, "waiting");
      assert.match(reasonOf(outcome), reason);
    }
  }
  await Deno.writeTextFile(bad, ca.certificatePem.replace(/\n[A-Za-z0-9+/]{4}/, "\nAAAA"));
  const outcome = await attempt({ ca, port, files: { caFile: bad } });
  assert.match(reasonOf(outcome), /holds a certificate that cannot be read/);
  assert.equal(endpoint.accepted, 0);
});

Deno.test("a token that no header could carry is not sent", async () => {
  const ca = await TestCa.create();
  await using endpoint = await serveAttestation(ca);
  await using files = await driverFiles(ca);
  for (const text of ["", " \n", "two words", "line\nbreak", "x".repeat(13_000), "\u00e9"]) {
    await Deno.writeTextFile(files.tokenFile, text);
    const { tokenFile } = files;
    const outcome = await attempt({ ca, port: endpoint.port, files: { tokenFile } });
    assert.equal(outcome.kind, "waiting");
    assert.match(
      reasonOf(outcome),
      /\(CERT_SERVICE_TOKEN_FILE\) is empty, too long or holds blanks/,
    );
  }
  assert.equal(endpoint.received.join(""), "");
  await Deno.writeTextFile(files.tokenFile, `${token}\n`);
  const { tokenFile } = files;
  const outcome = await attempt({ ca, port: endpoint.port, files: { tokenFile } });
  assert.equal(outcome.kind, "identity");
});

const rude: Record<string, (socket: Parameters<Parameters<typeof serveRaw>[1]>[0]) => void> = {
  "interim responses without an end": (socket) => {
    const more = () =>
      socket.writable && socket.write("HTTP/1.1 100 Continue\r\n\r\n".repeat(9), more);
    more();
  },
  "100 MB of body": (socket) => {
    socket.write("HTTP/1.1 200 OK\r\n\r\n");
    flood(socket);
  },
  "100 MB of headers": (socket) => {
    socket.write("HTTP/1.1 200 OK\r\nA: ");
    flood(socket);
  },
  "100 MB of body that was announced": (socket) => {
    socket.write("HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n");
    flood(socket);
  },
  "garbage": (socket) => socket.write(crypto.getRandomValues(new Uint8Array(20_000))),
  "a response in chunks": (socket) =>
    socket.end("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
  "an end without a word": (socket) => socket.end(),
  "a cut": (socket) => socket.destroy(),
  "half a response": (socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"),
};

const megabyte = new Uint8Array(1024 * 1024).fill(97);
/** Written by all floods; what the other side's buffers take counts as well. */
let flooded = 0;

function flood(socket: Parameters<Parameters<typeof serveRaw>[1]>[0], left = 100): void {
  if (left === 0 || socket.destroyed) return;
  socket.write(megabyte, (error) => {
    if (error) return;
    flooded += megabyte.length;
    flood(socket, left - 1);
  });
}

for (const [what, answer] of Object.entries(rude)) {
  for (const atOnce of [false, true]) {
    const when = atOnce ? "before the request" : "as the answer";
    Deno.test(`${what} ${when} ends the attempt at once, and the connection`, async () => {
      const ca = await TestCa.create();
      flooded = 0;
      let isAnswered = false;
      await using endpoint: RawEndpoint = await serveRaw(
        await ca.issue(serverName),
        (socket, text) => {
          if (isAnswered || (!atOnce && requestOf(text) === undefined)) return;
          isAnswered = true;
          answer(socket);
        },
        { atOnce },
      );
      const clock = new FakeClock();
      const outcome = await attempt({ ca, port: endpoint.port, clock });
      assert.equal(outcome.kind, "unavailable");
      await clock.until(() => endpoint.open.size === 0);
      assert.ok(flooded < 32 * 1024 * 1024, `${flooded}`);
      assert.equal(clock.timers, 0);
    });
  }
}

/** A TCP server that accepts and is silent. */
async function serveSilence() {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.resume();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    ...{ sockets, port: (server.address() as { port: number }).port },
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

Deno.test("an endpoint that never answers is given up after 5 s", async () => {
  const ca = await TestCa.create();
  await using silent = await serveRaw(await ca.issue(serverName), () => {});
  await using mute = await serveSilence();
  const reached = [() => silent.received.join("").length > 100, () => mute.sockets.size > 0];
  for (const [index, port] of [silent.port, mute.port].entries()) {
    const clock = new FakeClock();
    let outcome: AttestationOutcome | undefined;
    const ended = attempt({ ca, port, clock }).then((each) => outcome = each);
    await clock.until(reached[index]!);
    await clock.advance({ milliseconds: 4_999 });
    assert.equal(outcome, undefined);
    await clock.advance({ milliseconds: 1 });
    assert.match(reasonOf(await ended), /there was no answer within 5 s/);
  }
  await new FakeClock().until(() => silent.open.size === 0);
});

Deno.test("an answer that drips is cut after 5 s in all", async () => {
  const ca = await TestCa.create();
  const clock = new FakeClock();
  await using endpoint = await serveRaw(await ca.issue(serverName), (socket, text) => {
    if (requestOf(text) === undefined) return;
    socket.write("HTTP/1.1 200 OK\r\nA: ");
    const drip = () => clock.after(100, () => socket.writable && socket.write("b", drip));
    drip();
  });
  let outcome: AttestationOutcome | undefined;
  const ended = attempt({ ca, port: endpoint.port, clock }).then((each) => outcome = each);
  await clock.until(() => endpoint.received.join("").length > 100);
  while (outcome === undefined) await clock.advance({ milliseconds: 100 });
  assert.match(reasonOf(await ended), /there was no answer within 5 s/);
});

Deno.test("an aborted attempt rejects and closes its connection", async () => {
  const ca = await TestCa.create();
  await using endpoint = await serveRaw(await ca.issue(serverName), () => {});
  const stop = new AbortController();
  const clock = new FakeClock();
  const ended = attempt({ ca, port: endpoint.port, clock, signal: stop.signal });
  const rejected = assert.rejects(ended, /stopping/);
  await clock.until(() => endpoint.received.join("").length > 100);
  stop.abort(new Error("stopping"));
  await rejected;
  await clock.until(() => endpoint.open.size === 0);
  assert.equal(clock.timers, 0);
});

Deno.test("a port that nothing listens on is unavailable at once", async () => {
  const ca = await TestCa.create();
  const { port } = await (async () => {
    await using endpoint = await serveAttestation(ca);
    return endpoint;
  })();
  const outcome = await attempt({ ca, port });
  assert.equal(outcome.kind, "unavailable");
  assert.match(
    reasonOf(outcome),
    /^the attestation endpoint 127\.0\.0\.1 port \d+ cannot be used: /,
  );
});
