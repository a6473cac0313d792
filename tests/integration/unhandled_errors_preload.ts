/** Loaded before a program's entry: a SIGUSR2 makes errors that no code handles. */
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
  // The program logs one such error a second, with the number of those in between, by the machine's
  // clock, which a test cannot set: the last error comes after that second.
  setTimeout(() => {
    throw new Error("a timer threw");
  }, 1_100);
}

Deno.addSignalListener("SIGUSR2", makeErrors);
