import assert from "node:assert/strict";
import { getLogger, type LogLevel } from "@logtape/logtape";
import fc from "fast-check";
import { configureLogging } from "../../../src/shared/telemetry/logging.ts";

type Log = (message: string, properties?: Record<string, unknown>) => void;

/** The lines that one program wrote; `log` writes at level info below the category of renewals. */
async function linesOf(
  format: "text" | "json",
  act: (log: Log) => void,
  level: LogLevel = "info",
): Promise<string[]> {
  const lines: string[] = [];
  await using _logging = await configureLogging({
    format,
    level,
    program: "csi-driver",
    write: (line) => lines.push(line),
  });
  const logger = getLogger(["csi-driver", "renewal"]);
  act((message, properties) => logger.info(message, properties ?? {}));
  return lines;
}

async function lineOf(format: "text" | "json", act: (log: Log) => void): Promise<string> {
  const [line, ...more] = await linesOf(format, act);
  assert.deepEqual(more, []);
  return line ?? assert.fail("nothing was logged");
}

const timed = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z /;
const withoutTime = (line: string) => {
  assert.match(line, timed);
  return line.replace(timed, "");
};

Deno.test("a line for people names time, level, logger and message, and what the message omits", async () => {
  const line = await lineOf("text", (log) =>
    log("renewed {namespace}/{pod}", {
      namespace: "default",
      pod: "web-0",
      serialNumber: "0a1b",
      notAfter: Temporal.Instant.from("2026-01-08T00:00:00Z"),
      took: Temporal.Duration.from({ milliseconds: 12 }),
      bytes: 12n,
      reason: 'a "quoted" reason',
      empty: "",
      names: ["a", "b"],
      absent: undefined,
    }));
  assert.equal(
    withoutTime(line),
    "INFO  csi-driver.renewal: renewed default/web-0 serialNumber=0a1b " +
      'notAfter=2026-01-08T00:00:00Z took=PT0.012S bytes=12 reason="a \\"quoted\\" reason" ' +
      'empty="" names="[\\"a\\",\\"b\\"]"',
  );
});

Deno.test("a JSON line has stable keys first, and then the properties", async () => {
  const line = await lineOf("json", (log) =>
    log("renewed {pod}", {
      pod: "web-0",
      1: "first",
      notAfter: Temporal.Instant.from("2026-01-08T00:00:00Z"),
      bytes: 12n,
      level: "a property",
      nested: { took: Temporal.Duration.from({ seconds: 1 }) },
    }));
  const time = /^\{"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",/;
  assert.match(line, time);
  assert.equal(
    line.replace(time, "{"),
    '{"level":"info","logger":"csi-driver.renewal","message":"renewed web-0","1":"first",' +
      '"pod":"web-0","notAfter":"2026-01-08T00:00:00Z","bytes":"12","_level":"a property",' +
      '"nested":{"took":"PT1S"}}',
  );
});

Deno.test("an error shows its name, message and causes on one line", async () => {
  const error = new Error("cannot renew\nthe certificate", { cause: new TypeError("no route") });
  const text = await lineOf("text", (log) => log("failed: {error}", { error }));
  assert.equal(
    withoutTime(text),
    "INFO  csi-driver.renewal: failed: Error: cannot renew\\nthe certificate " +
      "(cause: TypeError: no route)",
  );
  const property = await lineOf(
    "text",
    (log) => log("failed", { error: new Error("odd", { cause: 7 }) }),
  );
  assert.match(property, /: failed error="Error: odd \(cause: 7\)"$/);
  const json = await lineOf("json", (log) => log("failed", { error }));
  assert.deepEqual(JSON.parse(json).error, {
    name: "Error",
    message: "cannot renew\nthe certificate",
    cause: { name: "TypeError", message: "no route" },
  });
});

Deno.test("secrets are redacted in messages, properties and errors, in either format", async () => {
  const key = "-----BEGIN EC PRIVATE KEY-----\nSECRET\n-----END EC PRIVATE KEY-----";
  const token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.SECRET";
  for (const format of ["text", "json"] as const) {
    const lines = await linesOf(format, (log) => {
      log(`the key is ${key}`);
      log("the token is {token}", { token });
      log("in parts {head}.{rest}", { head: "eyJhbGciOiJIUzI1NiJ9", rest: "e30.SECRET" });
      log("failed", { error: new Error("outer", { cause: new Error(`got ${token}`) }) });
      log("nested", { list: [{ deep: key }], [token]: 1 });
    });
    assert.equal(lines.length, 5);
    for (const line of lines) assert.match(line, /\[redacted\]/);
    assert.doesNotMatch([lines[0], lines[1], ...lines.slice(3)].join(), /SECRET/);
  }
});

Deno.test("records below the level are dropped, and so is everything after disposal", async () => {
  const lines = await linesOf("text", () => {
    const logger = getLogger(["csi-driver"]);
    logger.debug("too little");
    logger.info("too little");
    logger.warn("enough");
    logger.error("enough");
    logger.fatal("enough");
  }, "warning");
  assert.deepEqual(lines.map((line) => line.split(" ")[1]), ["WARN", "ERROR", "FATAL"]);
  getLogger(["csi-driver"]).error("after disposal");
  assert.equal(lines.length, 3);
});

Deno.test("code that serves several programs logs below the name of the one it runs in", async () => {
  const line = await lineOf("text", () => getLogger(["grpc", "server"]).info("listening"));
  assert.equal(withoutTime(line), "INFO  csi-driver.grpc.server: listening");
});

Deno.test("characters that break lines or deceive the eye are escaped", async () => {
  const odd = "a\nb\rc\td\u001b[31m\u0085\u2028\u202e\u007f";
  const escaped = "a\\nb\\rc\\td\\u001b[31m\\u0085\\u2028\\u202e\\u007f";
  const text = await lineOf("text", (log) => log("got {value}", { value: odd }));
  assert.equal(withoutTime(text), `INFO  csi-driver.renewal: got ${escaped}`);
  const json = await lineOf("json", (log) => log("got {value}", { value: odd }));
  assert.doesNotMatch(json, /[\p{Cc}\u2028\u202e]/u);
  assert.equal(JSON.parse(json).value, odd);
});

Deno.test("whatever is logged, one record is one line, and a JSON one can be read back", async () => {
  const odd = [
    "\n",
    "\r",
    "\u2028",
    "\u0085",
    "\u001b",
    "\ud800",
    "{",
    "}",
    '"',
    "\\",
    "a",
    "\u00e9",
  ];
  const message = fc.string({ unit: fc.constantFrom(...odd) });
  const properties = fc.dictionary(message, fc.oneof(message, fc.anything({ withBigInt: true })));
  const lines: string[] = [];
  await using _logging = await configureLogging({
    format: "json",
    level: "info",
    program: "p",
    write: (line) => lines.push(line),
  });
  fc.assert(
    fc.property(message, properties, (message, properties) => {
      lines.length = 0;
      getLogger(["p"]).info(message, properties);
      assert.equal(lines.length, 1);
      assert.doesNotMatch(lines[0]!, /[\p{Cc}\u2028\u2029]/u);
      assert.deepEqual(
        Object.keys(JSON.parse(lines[0]!)).filter((key) => !/^\d/.test(key)).slice(0, 4),
        [
          "time",
          "level",
          "logger",
          "message",
        ],
      );
    }),
  );
});

/** A program that logs in JSON to standard error. */
function logging(program: string): Deno.Command {
  const module = new URL("../../../src/shared/telemetry/logging.ts", import.meta.url);
  const logtape = import.meta.resolve("@logtape/logtape");
  return new Deno.Command(Deno.execPath(), {
    args: [
      "eval",
      "--quiet",
      `
      import { getLogger } from "${logtape}";
      import { configureLogging } from "${module}";
      const logging = await configureLogging({ format: "json", level: "info", program: "p" });
      const logger = getLogger(["p"]);
      ${program}
    `,
    ],
    cwd: new URL("../../../", import.meta.url),
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  });
}

/** How a program ends that logs, and what it wrote to standard error. */
async function run(program: string) {
  const child = logging(program).spawn();
  await child.stdin.close();
  const { code, stdout, stderr } = await child.output();
  assert.equal(stdout.length, 0);
  const lines = new TextDecoder().decode(stderr).split("\n");
  const messages = lines.filter((line) => line.startsWith("{")).map((line) =>
    JSON.parse(line).message
  );
  return { code, lines, messages };
}

Deno.test("lines go to standard error, complete, and an exit loses none", async () => {
  const { code, lines } = await run(`
    logger.info("x".repeat(300_000));
    logger.info("last");
    Deno.exit(3);
  `);
  assert.equal(code, 3, lines.join("\n"));
  assert.deepEqual(lines.map((line) => line && JSON.parse(line).message.length), [300_000, 4, ""]);
});

Deno.test("a program continues when the reader of its log has closed the pipe", async () => {
  const child = logging(`
    await Deno.stdin.read(new Uint8Array(1));
    for (let n = 0; n < 3; n++) logger.error("unread");
    console.log("continues");
  `).spawn();
  await child.stderr.cancel();
  await child.stdin.close();
  assert.equal(await new Response(child.stdout).text(), "continues\n");
  assert.equal((await child.status).code, 0);
});

/** Programs that end when they have logged "first" and "last", each in its own way. */
const endings: Record<string, string> = {
  "an end": `log();`,
  "a disposal": `log(); await logging[Symbol.asyncDispose](); Deno.exit();`,
  "an exit as Node.js has it": `const { exit } = await import("node:process"); log(); exit(3);`,
  "a throw": `log(); throw new Error("x");`,
  "a throw in a timer": `setTimeout(() => { log(); throw new Error("x"); });`,
  "a throw in a microtask": `queueMicrotask(() => { log(); throw new Error("x"); });`,
  "a throw in a callback of Node.js":
    `import { readdir } from "node:fs"; readdir(".", () => { log(); throw new Error("x"); });`,
  "a rejection that is not handled": `log(); Promise.reject(new Error("x"));`,
  "an error, and a kill at once": `log("error"); Deno.kill(Deno.pid, "SIGKILL");`,
  "a kill after the function that logged":
    `await (async () => log())(); Deno.kill(Deno.pid, "SIGKILL");`,
};

for (const [ending, program] of Object.entries(endings)) {
  Deno.test(`no line is lost by ${ending}`, async () => {
    const log = `const log = (level = "info") => { logger.info("first"); logger[level]("last"); };`;
    const { lines, messages } = await run(log + program);
    assert.deepEqual(messages, ["first", "last"], lines.join("\n"));
  });
}
