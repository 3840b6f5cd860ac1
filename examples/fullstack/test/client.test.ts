import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import { UnsecuredJWT } from "jose";

import { AccessTokens } from "../lib/access-tokens";
import type { ApiError } from "../lib/api-error";
import { authorizedFetch } from "../lib/authorized-fetch";
import { tasksApi } from "../lib/tasks-api";

const MINUTE = 60_000;

test("concurrent callers get the same token, fetched once", async () => {
  const issuer = new Issuer();
  const tokens = await Promise.all([1, 2, 3].map(() => issuer.tokens.current()));
  assert.equal(issuer.issued.length, 1);
  assert.equal(new Set(tokens).size, 1);
});

test("a token is renewed before it expires, and not much earlier", async (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: Date.now() });
  const issuer = new Issuer();
  const first = await issuer.tokens.current();
  t.mock.timers.tick(14 * MINUTE);
  assert.equal(await issuer.tokens.current(), first);
  t.mock.timers.tick(0.6 * MINUTE);
  assert.notEqual(await issuer.tokens.current(), first);
  assert.equal(issuer.issued.length, 2);
});

test("a wrong clock does not affect renewal", async (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: Date.now() });
  for (const ahead of [-1000 * MINUTE, 1000 * MINUTE]) {
    const issuer = new Issuer();
    issuer.ahead = ahead;
    for (const issued of [1, 1, 2]) {
      await issuer.tokens.current();
      assert.equal(issuer.issued.length, issued);
      t.mock.timers.tick(10 * MINUTE);
    }
  }
});

test("a token that arrives after clear() is not kept", async () => {
  const issuer = new Issuer();
  const pending = issuer.tokens.current();
  issuer.tokens.clear();
  const first = await pending;
  assert.notEqual(await issuer.tokens.current(), first);
});

test("if fetching a token fails, nothing is sent, and the next request fetches again", async (t) => {
  const issuer = new Issuer();
  const sent = mockResponses(t, 200);
  issuer.fails = true;
  await assert.rejects(issuer.api().list({}), { message: /cannot be reached/ });
  assert.equal(sent.length, 0);
  issuer.fails = false;
  await issuer.api().list({});
  assert.equal(sent.length, 1);
});

test("the token of another user is not sent", async (t) => {
  const issuer = new Issuer("bob");
  const sent = mockResponses(t, 200);
  await assert.rejects(issuer.api().list({}), { message: /signed out/, signInAgain: true });
  assert.equal(sent.length, 0);
});

test("after a 401 the request is sent again, with its body and another token", async (t) => {
  const issuer = new Issuer();
  const sent = mockResponses(t, 401, 201);
  await issuer.api().add({ title: "Twice" });
  assert.deepEqual(
    sent.map(({ token }) => token),
    issuer.issued,
  );
  assert.deepEqual(
    sent.map(({ body }) => body),
    ['{"title":"Twice"}', '{"title":"Twice"}'],
  );
});

test("concurrent requests that are rejected share one new token", async (t) => {
  const issuer = new Issuer();
  const sent = mockResponses(t, 401, 401, 401);
  await Promise.all([1, 2, 3].map(() => issuer.api().list({})));
  assert.equal(issuer.issued.length, 2);
  assert.equal(sent.length, 6);
});

test("after a second 401 the user has to sign in again", async (t) => {
  const sent = mockResponses(t, 401, 401);
  await assert.rejects(new Issuer().api().list({}), { message: /sign in again/, signInAgain: true });
  assert.equal(sent.length, 2);
});

test("a request times out if the API does not respond", async (t) => {
  const connection = setInterval(() => {}, 1000);
  t.after(() => clearInterval(connection));
  t.mock.method(globalThis, "fetch", (_: Request, { signal }: { signal: AbortSignal }) => {
    return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  });
  await assert.rejects(new Issuer().api(50).list({}), { message: /cannot be reached/, signInAgain: false });
});

test("errors of fields are reported separately, and other error responses are errors too", async (t) => {
  const errors = [{ pointer: "/title", detail: "must not be empty" }];
  const invalid = Response.json({ detail: "see errors", errors }, { status: 422 });
  mockResponses(t, invalid, new Response("<h1>Bad gateway", { status: 502 }));
  const failure = (error: ApiError) => [error.status, error.message, error.fields];
  await assert.rejects(new Issuer().api().add({ title: "" }), (error: ApiError) => {
    assert.deepEqual(failure(error), [422, "See errors.", { title: "must not be empty" }]);
    return true;
  });
  await assert.rejects(new Issuer().api().list({}), (error: ApiError) => {
    assert.deepEqual(failure(error), [502, "The API responded with status 502.", {}]);
    return true;
  });
});

/** Issues a different token each time, valid for fifteen minutes. */
class Issuer {
  readonly issued: string[] = [];
  readonly tokens = new AccessTokens(async () => this.#issue());
  fails = false;
  /** How far its clock is ahead of the browser's. */
  ahead = 0;

  constructor(readonly userId = "ada") {}

  api(timeout?: number) {
    return tasksApi("http://api.test", "ada", authorizedFetch(this.tokens, "ada", timeout));
  }

  #issue() {
    if (this.fails) throw new TypeError("fetch failed");
    const iat = Math.floor((Date.now() + this.ahead) / 1000);
    const claims = { sub: this.userId, iat, exp: iat + 900, jti: String(this.issued.length) };
    const jwt = new UnsecuredJWT(claims).encode();
    this.issued.push(jwt);
    return jwt;
  }
}

/** Makes `fetch` return these responses, then empty lists. Returns the requests that are sent. */
function mockResponses(t: TestContext, ...responses: (number | Response)[]) {
  const sent: { token: string | undefined; body: string }[] = [];
  t.mock.method(globalThis, "fetch", async (request: Request) => {
    sent.push({ token: request.headers.get("authorization")?.replace("Bearer ", ""), body: await request.text() });
    const response = responses.shift() ?? 200;
    return response instanceof Response ? response : Response.json({ items: [], next_cursor: null }, { status: response });
  });
  return sent;
}
