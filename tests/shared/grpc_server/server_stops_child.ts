/** Calls a server of this process many times, stops it, and says so if the client is still alive. */
import { Registration } from "../../../src/shared/gen/plugin_registration_pb.ts";
import { connect } from "../../../src/shared/grpc_client/client.ts";
import { serveTcp } from "../../../src/shared/grpc_server/server.ts";
import { stubService } from "../../support/stub_service.ts";

const services = [stubService(Registration, { getInfo: () => Promise.resolve({ name: "x" }) })];
const server = await serveTcp({ hostname: "127.0.0.1", port: 0 }, { services });
const client = connect(Registration, { address: `http://127.0.0.1:${server.port}` });
for (let round = 0; round < 60; round++) {
  await Promise.all(Array.from({ length: 8 }, () => client.getInfo({})));
}
await server[Symbol.asyncDispose]();
const refused = await client.getInfo({}).then(() => "answered", (error) => `code ${error.code}`);
console.log(refused);
Deno.exit(0);
