/** Listens under a small limit of open files, probes itself often, and prints each connection. */
import { WatchedListener } from "../../../src/shared/network/watched_listener.ts";
import { systemClock } from "../../../src/shared/scheduler/system_clock.ts";

const listener = new WatchedListener({
  clock: systemClock,
  probeEveryMs: 200,
  onProblem: (problem) => console.error(problem),
  onConnection: (socket) => {
    socket.on("error", () => {});
    socket.on("data", (text) => console.log(`received ${text}`));
  },
});
console.log(`port ${await listener.listen({ hostname: "127.0.0.1", port: 0 })}`);
