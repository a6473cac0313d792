import type { GivenObject } from "./api_objects.ts";
import { driverName } from "../../src/shared/text/product_names.ts";

/** A pod as the API server has it, running on node-1 with one volume of our driver's. */
export function podObject(
  given: {
    metadata?: Record<string, unknown>;
    spec?: Record<string, unknown>;
    status?: Record<string, unknown>;
    attributes?: Record<string, string>;
  } = {},
): GivenObject {
  const csi = { driver: driverName, volumeAttributes: given.attributes ?? {} };
  return {
    metadata: {
      name: "web-0",
      namespace: "shop",
      uid: "0f8fad5b-d9cb-469f-a165-70867728950e",
      labels: { app: "web" },
      ...given.metadata,
    },
    spec: {
      nodeName: "node-1",
      serviceAccountName: "web",
      containers: [],
      volumes: [{ name: "tmp", emptyDir: {} }, { name: "certs", csi }],
      ...given.spec,
    },
    status: { phase: "Running", ...given.status },
  };
}
