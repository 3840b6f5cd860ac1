// The delivery of logout tokens when the API is slow, fails or is unreachable.

import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import { decodeJwt } from "jose";

import { jwtWithLogout, type DeliveryFailure, type LogoutOptions } from "better-auth-logout";
import { hang, reset, startApi, status, verifiedSids, type Handler } from "./api.js";
import { signIn, startIssuer } from "./issuer.js";

const shortDelays = { delays: [0, 5, 5, 5, 5], timeout: 5000 };
const shortTimeout = { ...shortDelays, timeout: 1000 };

test("signing out does not wait for the API", async (t) => {
  const { api, issuer, device } = await arrange(t, [hang], shortDelays, true);
  const sid = await device.sid();
  const begin = performance.now();
  await device.post("/sign-out");
  const passed = performance.now() - begin;
  await api.received(1);
  assert.deepEqual(await verifiedSids(api.tokens, issuer.url), [sid]);
  assert.ok(passed < shortDelays.timeout / 2, `the sign-out took ${passed} ms while the API was hanging`);
});

test("a server error, a reset and a timeout are retried, each time with a new token", async (t) => {
  const { api, issuer, device } = await arrange(t, [status(503), reset, hang, status(200)], shortTimeout);
  const sid = await device.sid();
  await device.post("/sign-out");
  await issuer.settled();
  assert.deepEqual(await verifiedSids(api.tokens, issuer.url), [sid, sid, sid, sid]);
  assert.equal(new Set(api.tokens.map((token) => decodeJwt(token).jti)).size, 4);
  assert.deepEqual(issuer.logged, []);
});

for (const code of [408, 429, 500, 502]) {
  test(`${code} is retried`, async (t) => {
    const { api, issuer, device } = await arrange(t, [status(code)]);
    await device.post("/sign-out");
    await issuer.settled();
    assert.equal(api.tokens.length, 2);
    assert.deepEqual(issuer.logged, []);
  });
}

for (const code of [400, 401, 404, 413]) {
  test(`${code} is not retried`, async (t) => {
    const { api, issuer, device } = await arrange(t, [status(code)]);
    await device.post("/sign-out");
    await issuer.settled();
    assert.equal(api.tokens.length, 1);
    assert.deepEqual(issuer.logged, [`The logout token could not be delivered to ${api.url}: status ${code}`]);
  });
}

for (const code of [301, 302, 307, 308]) {
  test(`a redirect with status ${code} is not followed`, async (t) => {
    const elsewhere = await startApi(t);
    const { api, issuer, device } = await arrange(t, [status(code, { location: elsewhere.url })]);
    await device.post("/sign-out");
    await issuer.settled();
    assert.equal(api.tokens.length, 1);
    assert.equal(elsewhere.tokens.length, 0);
    assert.equal(issuer.logged.length, 1);
  });
}

test("204 is a success", async (t) => {
  const { api, issuer, device } = await arrange(t, [status(204)]);
  await device.post("/sign-out");
  await issuer.settled();
  assert.equal(api.tokens.length, 1);
  assert.deepEqual(issuer.logged, []);
});

test("if the API is unreachable, an error without a token is logged and passed to onDeliveryFailed", async (t) => {
  const failures: DeliveryFailure[] = [];
  const onDeliveryFailed = (failure: DeliveryFailure) => void failures.push(failure);
  const { api, issuer, device } = await arrange(t, [], { ...shortDelays, onDeliveryFailed });
  api.stop();
  const sessionId = await device.sid();
  await device.post("/sign-out");
  await issuer.settled();
  const reason = failures[0]?.reason ?? "";
  assert.match(reason, /ECONNREFUSED/);
  assert.deepEqual(failures, [{ url: api.url, sessionId, attempts: 5, reason }]);
  assert.deepEqual(issuer.logged, [`The logout token could not be delivered to ${api.url}: ${reason}`]);
  assert.doesNotMatch(reason, /eyJ/);
});

test("onDeliveryFailed is called once, with the status of the last attempt", async (t) => {
  const failures: DeliveryFailure[] = [];
  const onDeliveryFailed = (failure: DeliveryFailure) => void failures.push(failure);
  const { issuer, device } = await arrange(t, [status(503), status(400)], { ...shortDelays, onDeliveryFailed });
  await device.post("/sign-out");
  await issuer.settled();
  assert.deepEqual(
    failures.map(({ attempts, reason }) => ({ attempts, reason })),
    [{ attempts: 2, reason: "status 400" }],
  );
});

for (const [how, onDeliveryFailed] of Object.entries({
  throws: () => {
    throw new Error("from the hook");
  },
  rejects: () => Promise.reject(new Error("from the hook")),
})) {
  test(`if onDeliveryFailed ${how}, that is logged and nothing else happens`, async (t) => {
    const { api, issuer, device } = await arrange(t, [status(400)], { ...shortDelays, onDeliveryFailed });
    const other = await signIn(device);
    await device.post("/sign-out");
    await issuer.settled();
    assert.match(issuer.logged.join("\n"), /status 400\n.*onDeliveryFailed.*from the hook/);
    await other.post("/sign-out");
    await issuer.settled();
    assert.equal(api.tokens.length, 2);
    assert.equal(issuer.logged.length, 2);
  });
}

test("onDeliveryFailed is not called after a successful retry", async (t) => {
  const failures: DeliveryFailure[] = [];
  const onDeliveryFailed = (failure: DeliveryFailure) => void failures.push(failure);
  const { api, issuer, device } = await arrange(t, [status(503)], { ...shortDelays, onDeliveryFailed });
  await device.post("/sign-out");
  await issuer.settled();
  assert.equal(api.tokens.length, 2);
  assert.deepEqual(failures, []);
});

test("a query in the URL is sent, but not logged or passed on", async (t) => {
  const { url } = await startApi(t);
  const failures: DeliveryFailure[] = [];
  const onDeliveryFailed = (failure: DeliveryFailure) => void failures.push(failure);
  const api = await startApi(t, status(400));
  const issuer = await startIssuer(t, {
    plugins: [jwtWithLogout({ logout: { url: [url, `${api.url}?key=confidential`], onDeliveryFailed } })],
  });
  await (await issuer.signUp()).post("/sign-out");
  await issuer.settled();
  assert.deepEqual(api.paths, ["/auth/backchannel-logout?key=confidential"]);
  assert.equal(failures.length, 1);
  assert.doesNotMatch(issuer.logged.join() + JSON.stringify(failures), /confidential/);
});

test("each of several APIs gets the logout token, even if others fail", async (t) => {
  const [gone, slow, quick] = [await startApi(t), await startApi(t, hang), await startApi(t)];
  await gone.stop();
  const logout = { ...shortTimeout, url: [gone.url, slow.url, quick.url] };
  const issuer = await startIssuer(t, { plugins: [jwtWithLogout({ logout })] });
  const device = await issuer.signUp();
  const sid = await device.sid();
  await device.post("/sign-out");
  await issuer.settled();
  assert.deepEqual(await verifiedSids(quick.tokens, issuer.url), [sid]);
  assert.deepEqual(await verifiedSids(slow.tokens, issuer.url), [sid, sid]);
  assert.equal(issuer.logged.length, 1);
});

test("ending fifty sessions sends fifty tokens", async (t) => {
  const { api, issuer, device } = await arrange(t, []);
  await Promise.all(Array.from({ length: 49 }, () => signIn(device)));
  const sids: string[] = (await device.get("/list-sessions")).map(({ id }: { id: string }) => id);
  assert.equal(sids.length, 50);
  await device.post("/revoke-sessions");
  await issuer.settled();
  assert.deepEqual(await verifiedSids(api.tokens, issuer.url), sids.toSorted());
});

for (const [random, expected] of [
  [0, [0, 250, 1000, 4000, 15_000]],
  [1, [0, 312.5, 1250, 5000, 18_750]],
] as const) {
  test(`by default there are five attempts, after ${expected.join(", ")} ms, of at most two seconds`, async (t) => {
    const { issuer, device } = await arrange(t, Array(9).fill(status(503)), {});
    const wait = globalThis.setTimeout;
    const delays: unknown[] = [];
    t.mock.method(globalThis, "setTimeout", (resume: () => void, delay: number) => {
      if (!new Error().stack?.includes("better-auth-logout/dist/delivery.js")) return wait(resume, delay);
      delays.push(delay);
      return wait(resume, 0);
    });
    const timeouts = t.mock.method(AbortSignal, "timeout");
    t.mock.method(Math, "random", () => random);
    await device.post("/sign-out");
    await issuer.settled();
    assert.deepEqual(delays, expected);
    assert.deepEqual(
      timeouts.mock.calls.map((call) => call.arguments),
      Array(5).fill([2000]),
    );
  });
}

async function arrange(
  t: TestContext,
  handlers: Handler[],
  options: Omit<LogoutOptions, "url"> = shortDelays,
  defaultBackground = false,
) {
  const api = await startApi(t, ...handlers);
  const issuer = await startIssuer(t, {
    defaultBackground,
    plugins: [jwtWithLogout({ logout: { url: api.url, ...options } })],
  });
  return { api, issuer, device: await issuer.signUp() };
}
