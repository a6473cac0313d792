import { type Libc, openLibc } from "../../shared/linux/libc.ts";
import type { BootClock, Clock } from "../../shared/scheduler/clock.ts";
import { systemClock } from "../../shared/scheduler/system_clock.ts";

/** Draws a new identifier at each boot. */
const bootIdPath = "/proc/sys/kernel/random/boot_id";

/**
 * The clock of this machine. Where the C library cannot be called, the time counts from the start of this program, so that
 * after a restart the certificates' ages are those of the wall clock.
 */
export function openNodeClock(open: () => Libc = openLibc): BootClock & Disposable {
  using undo = new DisposableStack();
  let sinceBootMs = () => performance.now();
  let bootId: string = crypto.randomUUID();
  try {
    const libc = undo.use(open());
    bootId = libc.readText(bootIdPath).trim();
    sinceBootMs = () => libc.timeSinceBootMs();
  } catch {
    // The driver does not start then, because the selection of its mounter throws the same error; its status command works.
  }
  const resources = undo.move();
  return {
    ...systemClock,
    moment: () => ({ wall: systemClock.now(), bootMs: sinceBootMs(), bootId }),
    [Symbol.dispose]: () => resources.dispose(),
  };
}

/**
 * A clock that never steps: it starts at the wall clock's time and counts the time since boot, in which a suspend of the
 * machine is included. Its instants are comparable with each other, not with those of a wall clock that has stepped since.
 */
export function steadyClock(clock: BootClock): Clock {
  const { wall, bootMs } = clock.moment();
  return {
    now: () => wall.add({ milliseconds: Math.floor(clock.moment().bootMs - bootMs) }),
    after: (ms, callback) => clock.after(ms, callback),
  };
}
