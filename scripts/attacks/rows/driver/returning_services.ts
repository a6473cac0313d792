/** A service that flaps, and then an honest one on the same address: the driver has to reconnect. */
import { AttackedDriver, driverEnvironment } from "../../programs/driver.ts";
import { type Behaviour, MaliciousService } from "../../programs/malicious_service.ts";
import { AttackedService } from "../../programs/service.ts";
import { type Budget, InconclusiveFailure, type OwnRow } from "../../harness/row.ts";
import { pause } from "../../harness/service_row.ts";
import { goaway, settings } from "../../http2/frames.ts";
import { freePort } from "../../../bench/service_process.ts";

/** How long the driver may need to reach the honest service after each kind of server. */
const longestReturnMs = 20_000;

/** In turn: reset, closed at once, silent, and a GOAWAY after SETTINGS. */
const flapping: Behaviour = {
  onConnection: (peer) => {
    const turn = peer.number % 4;
    if (turn === 0) peer.socket.resetAndDestroy();
    if (turn === 1) peer.socket.end();
    if (turn === 3) {
      peer.send(settings(), goaway());
      peer.socket.end();
    }
  },
};

async function flapsThenServes(folder: string, { ms }: Budget): Promise<string> {
  const port = freePort();
  const address = `127.0.0.1:${port}`;
  await using service = await AttackedService.prepare("mtls", `${folder}/service`, {
    LISTEN_ADDR: address,
  });
  const env = await driverEnvironment(service, { address, node: 8, directory: folder });
  await using driver = await AttackedDriver.start({ directory: `${folder}/driver`, env });
  // A minute in the long form.
  const end = performance.now() + ms * 3;
  let times = 0;
  while (performance.now() < end) {
    await using _malicious = await MaliciousService.start(flapping, port);
    await driver.publish(500);
    times++;
  }
  await service.running();
  const began = performance.now();
  for (;;) {
    const { answer } = await driver.publish(5_000);
    const waited = performance.now() - began;
    if (answer.grpcStatus === "0") {
      return `${times} flaps, a volume ${(waited / 1000).toFixed(1)} s after the service returned`;
    }
    if (waited > longestReturnMs) {
      throw new InconclusiveFailure(`no volume ${longestReturnMs} ms later: ${answer.grpcMessage}`);
    }
    await pause(200);
  }
}

export const returningServiceRows: readonly OwnRow[] = [{
  name: "malicious service/flapping, then an honest one",
  position: "unauthenticated",
  target: "own",
  run: flapsThenServes,
}];
