import assert from "node:assert/strict";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { AllReplicas } from "../../../src/service/peers/all_replicas.ts";
import {
  CertificateInfoSchema,
  FindCertificateResponseSchema,
} from "../../../src/shared/gen/certificate_service_pb.ts";

type Info = MessageInitShape<typeof CertificateInfoSchema>;

async function* pagesOf(infos: readonly Info[], podUid: string) {
  const found = infos.filter(({ pod }) => pod?.uid === podUid);
  if (found.length > 0) {
    yield await Promise.resolve(found.map((one) => create(CertificateInfoSchema, one)));
  }
}

Deno.test("of a certificate that one replica issued and another knows from a report, the issuer states the pod", async () => {
  const pod = (uid: string) => ({ namespace: "shop", name: "web-0", uid });
  const issued = { serialNumber: "a1", pod: pod("true"), volumeId: "csi-1" };
  const reported = { ...issued, pod: pod("invented"), reported: true };
  for (const [here, there] of [[issued, reported], [reported, issued]] as const) {
    const replicas = new AllReplicas({
      find: () => create(CertificateInfoSchema, here),
      pages: ({ podUid }) => pagesOf([here], podUid),
    }, {
      find: () => {
        const answer = { replica: "there", certificate: there };
        return Promise.resolve({
          answers: [create(FindCertificateResponseSchema, answer)],
          missing: [],
        });
      },
      lists: ({ podUid }) => Promise.resolve([pagesOf([there], podUid)]),
    });
    assert.equal((await replicas.find("a1")).current?.pod?.uid, "true");
  }
});
