import assert from "node:assert/strict";
import { status } from "@grpc/grpc-js";
import fc from "fast-check";
import { parsePolicyFile } from "../../src/service/policy/policy_file.ts";
import { allowAnonymous } from "../../src/service/access/authenticator.ts";
import {
  CertificateAdministration,
  CertificateService,
} from "../../src/shared/gen/certificate_service_pb.ts";
import { decodeMessage, encodeMessage } from "../../src/shared/grpc/message_codec.ts";
import { RpcError } from "../../src/shared/grpc/rpc_error.ts";
import type { UntypedImplementation } from "../../src/shared/grpc/service_definition.ts";
import { administrationService } from "../../src/service/api/administration_service.ts";
import { certificateService } from "../../src/service/api/certificate_service.ts";
import { readCertificate } from "../../src/shared/x509/certificate.ts";
import {
  certificateRequest,
  never,
  openTestService,
  pod,
  policy,
} from "../support/service_fixture.ts";
import { runs } from "../support/runs.ts";
import { mutated, mutatedText } from "./mutations.ts";
import { comparable } from "../support/comparable.ts";

const bounded = { interruptAfterTimeLimit: 120_000, markInterruptAsFailure: true };
/** The allowed answers; INTERNAL would be a defect. */
const expected = [
  status.INVALID_ARGUMENT,
  status.PERMISSION_DENIED,
  status.NOT_FOUND,
  status.RESOURCE_EXHAUSTED,
];

Deno.test("calls with changed bytes are answered or refused, and every leaf is for the pod that was named", async () => {
  await using parts = await openTestService();
  const { issued } = await (async () => {
    const outcome = await parts.ask();
    assert.ok(outcome.kind === "issued");
    return { issued: outcome.chain[0]! };
  })();
  const serialNumber = readCertificate(issued)!.serialNumber;
  const attributes = { duration: "1h", "dns-names": "web.shop.svc", "key-algorithm": "ed25519" };
  const asked = {
    certificateRequest: await certificateRequest("ed25519"),
    pod: { ...pod },
    volume: { id: "csi-1", name: "certs", attributes },
  };
  const method = { ...CertificateService.method, ...CertificateAdministration.method };
  const corpora = {
    issueCertificate: encodeMessage(method.issueCertificate.input, asked),
    renewCertificate: encodeMessage(method.renewCertificate.input, {
      ...asked,
      predecessorSerialNumber: serialNumber,
    }),
    revokeCertificate: encodeMessage(method.revokeCertificate.input, {
      target: { case: "podUid", value: "another" },
      reason: "lost",
    }),
    getCertificateInfo: encodeMessage(method.getCertificateInfo.input, { serialNumber }),
    reportCertificates: encodeMessage(method.reportCertificates.input, {
      certificates: [{ certificate: issued, pod: { ...pod }, volumeId: "csi-1" }],
    }),
  };
  const implementation = {
    ...certificateService({ ...parts, authenticator: allowAnonymous }),
    ...administrationService(parts),
  } as unknown as UntypedImplementation;
  const names = Object.keys(corpora) as (keyof typeof corpora)[];
  const context = {
    signal: never,
    peerCertificate: undefined,
  };
  const call = fc.constantFrom(...names).chain((name) =>
    fc.tuple(fc.constant(name), mutated([corpora[name]]))
  );
  await fc.assert(
    fc.asyncProperty(call, async ([name, it]) => {
      const { input, output } = method[name];
      const decoded = decodeMessage(input, it);
      if (decoded.kind === "refused") return assert.ok(decoded.problem.length > 0);
      try {
        const answer = await implementation[name]!(decoded.message as never, context);
        encodeMessage(output, answer as never);
        const message = decoded.message as { pod?: { name: string; namespace: string } };
        const [der] = (answer as { certificateChain?: Uint8Array[] }).certificateChain ?? [];
        if (der === undefined) return;
        const full = `${message.pod!.name}.${message.pod!.namespace}.svc.cluster.local`;
        assert.ok(readCertificate(der)?.dnsNames.includes(full), full);
      } catch (error) {
        assert.ok(error instanceof RpcError, `${error}`);
        assert.ok(expected.includes(error.code), `${status[error.code]}: ${error.message}`);
      }
    }),
    { ...runs(4_000), ...bounded },
  );
});

Deno.test("a policy file that was changed is read into the same rules each time, or refused with a line", () => {
  const corpus = [
    `rules:
  - namespaces: [shop, "team-*"]
    dnsNames: ["*.shop.example.com", api.example.com]
    uris: ["https://shop.example.com/*"]
    ipRanges: [10.0.0.0/8, "2001:db8::/32"]
    organizationalUnits: [Payments]
    maxValidity: 2160h
    minValidity: 30m
    keyAlgorithms: [ecdsa-p256, rsa-4096]
    bareNames: false
    shortNames: true
    annotations: true
`,
    'rules: [{namespaces: ["*"], organizationalUnits: "*", bareNames: false}]\n',
    "# none\nrules: []\n",
  ];
  fc.assert(
    fc.property(mutatedText(corpus), (text) => {
      const outcome = parsePolicyFile(text, policy());
      if (outcome.kind === "rules") {
        return assert.deepEqual(comparable(parsePolicyFile(text, policy())), comparable(outcome));
      }
      for (const problem of outcome.problems) assert.match(problem, /^line \d+(, rule \d+)?: /);
    }),
    { ...runs(3_000), ...bounded },
  );
});
