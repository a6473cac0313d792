import assert from "node:assert/strict";
import { apiServerTokenReviewer } from "../../../src/service/kubernetes/token_review.ts";
import { tokenAudience } from "../../../src/shared/text/product_names.ts";
import { never, openApi } from "./kubernetes_fixture.ts";

Deno.test("only the user name of a service account is read as an account", async () => {
  await using api = await openApi();
  const reviewer = apiServerTokenReviewer(api.connection);
  const accountOf = async (username: string) => {
    const audiences = [tokenAudience];
    api.server.tokens.review = () => ({ authenticated: true, audiences, user: { username } });
    const reviewed = await reviewer.review("a token", never);
    assert(reviewed.kind === "verified", JSON.stringify(reviewed));
    return reviewed.account;
  };
  assert.equal(
    await accountOf("system:serviceaccount:csi-cert-system:driver.a"),
    "csi-cert-system/driver.a",
  );
  const others = ["csi-cert-system/driver", "system:serviceaccount:csi-cert-system/driver"]
    .concat("system:serviceaccount:csi-cert-system:driver:a", "system:serviceaccount::driver")
    .concat("x:system:serviceaccount:csi-cert-system:driver", "system:node:node-1");
  for (const username of others) assert.equal(await accountOf(username), undefined, username);
});

Deno.test("a token is refused where the API server confirms neither it, nor its audience, nor its user", async () => {
  await using api = await openApi();
  const reviewer = apiServerTokenReviewer(api.connection);
  const user = { username: "system:serviceaccount:csi-cert-system:driver" };
  const confirmed = { authenticated: true, audiences: [tokenAudience], user };
  const rows: [Record<string, unknown>, RegExp][] = [
    [{ ...confirmed, authenticated: false, error: "secret" }, /does not accept the token/],
    [{ ...confirmed, audiences: ["another"] }, /does not confirm the token's audience/],
    [{ ...confirmed, audiences: undefined }, /does not confirm the token's audience/],
    [{ ...confirmed, user: {} }, /names no user/],
  ];
  for (const [status, reason] of rows) {
    api.server.tokens.review = () => status;
    const reviewed = await reviewer.review("a token", never);
    assert(reviewed.kind === "refused", JSON.stringify(reviewed));
    assert.match(reviewed.reason, reason);
    assert(!reviewed.reason.includes("secret"));
  }
});
