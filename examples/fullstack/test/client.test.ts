import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import { UnsecuredJWT } from "jose";

import { AccessTokens } from "../lib/access-tokens";
import type { ApiError } from "../lib/api-error";
import { authorizedFetch } from "../lib/authorized-fetch";
import { tasksApi } from "../lib/tasks-api";

const MINUTE = 60_000;

test("whoever asks at the same time gets the same token, fetched once", async () => {
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

test("a wrong clock makes no difference", async (t) => {
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

test("a token that was forgotten on its way is not kept", async () => {
  const issuer = new Issuer();
  const coming = issuer.tokens.current();
  issuer.tokens.forget();
  const first = await coming;
  assert.notEqual(await issuer.tokens.current(), first);
});

test("a failure to get a token is not kept, and nothing is sent", async (t) => {
  const issuer = new Issuer();
  const sent = answers(t, 200);
  issuer.fails = true;
  await assert.rejects(issuer.api().list({}), { message: /cannot be reached/ });
  assert.equal(sent.length, 0);
  issuer.fails = false;
  await issuer.api().list({});
  assert.equal(sent.length, 1);
});

test("the token of another user is not sent", async (t) => {
  const issuer = new Issuer("bob");
  const sent = answers(t, 200);
  await assert.rejects(issuer.api().list({}), { message: /signed out/, signInAgain: true });
  assert.equal(sent.length, 0);
});

test("after a 401 the request is sent once more, body and all, with another token", async (t) => {
  const issuer = new Issuer();
  const sent = answers(t, 401, 201);
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

test("requests that are refused together renew their token together", async (t) => {
  const issuer = new Issuer();
  const sent = answers(t, 401, 401, 401);
  await Promise.all([1, 2, 3].map(() => issuer.api().list({})));
  assert.equal(issuer.issued.length, 2);
  assert.equal(sent.length, 6);
});

test("after a second 401 one has to sign in again", async (t) => {
  const sent = answers(t, 401, 401);
  await assert.rejects(new Issuer().api().list({}), { message: /sign in again/, signInAgain: true });
  assert.equal(sent.length, 2);
});

test("an API that says nothing is given up", async (t) => {
  const connection = setInterval(() => {}, 1000);
  t.after(() => clearInterval(connection));
  t.mock.method(globalThis, "fetch", (_: Request, { signal }: { signal: AbortSignal }) => {
    return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  });
  await assert.rejects(new Issuer().api(50).list({}), { message: /cannot be reached/, signInAgain: false });
});

test("faults of fields are told apart, and what is no problem document is a failure too", async (t) => {
  const errors = [{ pointer: "/title", detail: "must not be empty" }];
  const invalid = Response.json({ detail: "see errors", errors }, { status: 422 });
  answers(t, invalid, new Response("<h1>Bad gateway", { status: 502 }));
  const failure = (error: ApiError) => [error.status, error.message, error.fields];
  await assert.rejects(new Issuer().api().add({ title: "" }), (error: ApiError) => {
    assert.deepEqual(failure(error), [422, "See errors.", { title: "must not be empty" }]);
    return true;
  });
  await assert.rejects(new Issuer().api().list({}), (error: ApiError) => {
    assert.deepEqual(failure(error), [502, "The API answered with status 502.", {}]);
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

/** Makes `fetch` return these responses, then empty lists; returns what was sent. */
function answers(t: TestContext, ...answers: (number | Response)[]) {
  const sent: { token: string | undefined; body: string }[] = [];
  t.mock.method(globalThis, "fetch", async (request: Request) => {
    sent.push({ token: request.headers.get("authorization")?.replace("Bearer ", ""), body: await request.text() });
    const answer = answers.shift() ?? 200;
    return answer instanceof Response ? answer : Response.json({ items: [], next_cursor: null }, { status: answer });
  });
  return sent;
}
