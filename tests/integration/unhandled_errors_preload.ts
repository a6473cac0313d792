/** Loaded before a program's entry: a second after the program has begun it makes errors that no code handles. */
const secrets = [
  "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEG\n-----END PRIVATE KEY-----",
  `token eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJub2RlIn0.${"c2ln".repeat(400)}`,
];

async function fail(): Promise<void> {
  await Promise.resolve();
  throw new Error(`a promise rejected: ${secrets[0]}`);
}

function makeErrors(): void {
  // No code awaits it.
  fail();
  const target = new EventTarget();
  target.addEventListener("event", () => {
    throw new Error(`a listener threw: ${secrets[1]}`);
  });
  target.dispatchEvent(new Event("event"));
  Promise.reject(Object.create(null));
  setTimeout(() => {
    throw new Error("a timer threw");
  }, 1_100);
}

// The runtime waits for a preloaded file's own timers before it loads the entry.
const { addSignalListener } = Deno;
Deno.addSignalListener = (name, handler) => {
  if (name === "SIGTERM") setTimeout(makeErrors, 1_000);
  addSignalListener(name, handler);
};
