// A cookie cache still contains a session after it has ended. No token may be issued for it.

import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";

import type { Auth, BetterAuthOptions } from "better-auth";
import { createAuthMiddleware, getSessionFromCtx } from "better-auth/api";
import { jwt, type JwtOptions } from "better-auth/plugins";
import { decodeProtectedHeader } from "jose";

import { jwtWithLogout, type JwtWithLogout } from "better-auth-logout";
import { startApi, verifiedSids } from "./api.js";
import { minor, signIn, startIssuer, type Device, type IssuerSettings, type Storage } from "./issuer.js";

interface Cache {
  strategy: "compact" | "jwt" | "jwe";
  secondary?: boolean;
  options?: JwtOptions;
}

const publishedKeys = { sessionCookieCache: true } satisfies object as JwtOptions;

const caches: Record<string, Cache> = {
  compact: { strategy: "compact" },
  jwt: { strategy: "jwt" },
  ...(minor >= 7 ? { "jwt signed with the published keys": { strategy: "jwt", options: publishedKeys } } : {}),
  jwe: { strategy: "jwe" },
  "compact, with secondaryStorage only": { strategy: "compact", secondary: true },
};

for (const [name, cache] of Object.entries(caches)) {
  describe(`cookie cache ${name}`, () => {
    test("a revoked session in the cache gets no token", async (t) => {
      const { phone, laptop } = await arrange(t, cache);
      await laptop.post("/revoke-session", { token: await phone.sessionToken() });
      await assertCachedButRevoked(phone);
    });

    test("a client that signed out and kept its cookies gets no token", async (t) => {
      const { phone } = await arrange(t, cache);
      const kept = phone.copy();
      await phone.post("/sign-out");
      await assertCachedButRevoked(kept);
    });

    test("a banned or removed user gets no token", async (t) => {
      const { issuer, phone, laptop } = await arrange(t, cache);
      const admin = await issuer.signUpAdmin();
      const userId = await phone.userId();
      await admin.post("/admin/ban-user", { userId });
      await assertCachedButRevoked(phone);
      await admin.post("/admin/remove-user", { userId });
      await assertCachedButRevoked(laptop);
    });

    test("a revoked session gets no token after /update-user renewed its cookie", async (t) => {
      const { phone, laptop } = await arrange(t, cache);
      await laptop.post("/revoke-session", { token: await phone.sessionToken() });
      t.mock.timers.enable({ apis: ["Date"], now: Date.now() });
      // The cache lasts five minutes.
      for (const name of ["Bea", "Cleo", "Dora"]) {
        t.mock.timers.tick(200_000);
        await phone.post("/update-user", { name });
      }
      await assertCachedButRevoked(phone);
    });

    test("auth.api.getToken behaves like /token", async (t) => {
      const { issuer, phone, laptop } = await arrange(t, cache);
      const { api } = issuer.auth as unknown as Auth<{ plugins: [JwtWithLogout] }>;
      assert.ok((await api.getToken({ headers: phone.headers() })).token);
      await laptop.post("/revoke-session", { token: await phone.sessionToken() });
      await assert.rejects(api.getToken({ headers: phone.headers() }), { statusCode: 401 });
    });

    test("the API receives logout tokens with the sids of the tokens", async (t) => {
      const { issuer, api, phone, laptop } = await arrange(t, cache);
      const sids = [await phone.sid(), await laptop.sid()];
      await laptop.post("/revoke-sessions");
      await issuer.settled();
      assert.deepEqual(await verifiedSids(api.tokens, issuer.url), sids.toSorted());
    });
  });
}

test("a session that has expired in the database gets no token", async (t) => {
  const { issuer, phone } = await arrange(t, { strategy: "compact" });
  issuer.sql(`update "session" set "expiresAt" = ?`, new Date(Date.now() - 1000).toISOString());
  await assertCachedButRevoked(phone);
});

test("the plain jwt plugin continues to issue tokens to a revoked session", async (t) => {
  const issuer = await startIssuer(t, { ...withCache({ strategy: "compact" }), plugins: [jwt()] });
  const phone = await issuer.signUp();
  await (await signIn(phone)).post("/revoke-session", { token: await phone.sessionToken() });
  assert.equal((await phone.send("GET", "/token")).status, 200);
  assert.ok((await phone.send("GET", "/get-session")).headers.has("set-auth-jwt"));
});

test("a cookie cache can still be signed with the published keys", { skip: minor < 7 }, async (t) => {
  const { phone } = await arrange(t, { strategy: "jwt", options: publishedKeys });
  const { typ, alg } = decodeProtectedHeader(phone.cookies.get("better-auth.session_data") ?? "");
  assert.deepEqual({ typ, alg }, { typ: "better-auth.session-cache+jwt", alg: "EdDSA" });
});

test("a hook that looks up the session before /token does changes nothing", async (t) => {
  const before = createAuthMiddleware(async (context) => {
    await getSessionFromCtx(context);
  });
  const { phone, laptop } = await arrange(t, { strategy: "compact" }, { hooks: { before } });
  await laptop.post("/revoke-session", { token: await phone.sessionToken() });
  await assertCachedButRevoked(phone);
});

test("a session that a hook invents gets no token", async (t) => {
  const session = { id: "made up", token: "made up", expiresAt: new Date(Date.now() + 60_000) };
  const madeUp = { context: { context: { session: { session, user: { id: "made up" } } } } };
  const before = createAuthMiddleware(async ({ path }) => (path === "/token" ? madeUp : undefined));
  const issuer = await startIssuer(t, {
    plugins: [jwtWithLogout({ logout: { url: "http://127.0.0.1/" } })],
    hooks: { before },
  });
  assert.equal((await (await issuer.signUp()).send("GET", "/token")).status, 401);
});

test("the header of get-session, if enabled, contains tokens of active sessions only", async (t) => {
  const { phone, laptop } = await arrange(t, { strategy: "compact", options: { disableSettingJwtHeader: false } });
  assert.ok((await phone.send("GET", "/get-session")).headers.has("set-auth-jwt"));
  await laptop.post("/revoke-session", { token: await phone.sessionToken() });
  const response = await phone.send("GET", "/get-session");
  assert.equal(response.status, 401);
  assert.ok(!response.headers.has("set-auth-jwt"));
});

async function arrange(t: TestContext, cache: Cache, settings: Partial<IssuerSettings> = {}) {
  const api = await startApi(t);
  const plugins = [jwtWithLogout({ ...cache.options, logout: { url: api.url, delays: [0] } })];
  const issuer = await startIssuer(t, { ...withCache(cache), plugins, ...settings });
  const phone = await issuer.signUp();
  const laptop = await signIn(phone);
  assert.equal(await phone.sid(), await phone.sid());
  return { api, issuer, phone, laptop };
}

function withCache({ strategy, secondary = false }: Cache): Storage {
  const session: BetterAuthOptions["session"] = { cookieCache: { enabled: true, strategy } };
  return { secondary, session };
}

async function assertCachedButRevoked(device: Device) {
  assert.ok((await device.get("/get-session"))?.session, "the session must be in the cache, otherwise the test is meaningless");
  for (const query of ["", "?disableCookieCache=", "?disableCookieCache=false", "?disableCookieCache=true"]) {
    const response = await device.copy().send("GET", `/token${query}`);
    assert.equal(response.status, 401);
    assert.ok(!(await response.text()).includes("eyJ"));
  }
  assert.ok(!(await device.send("GET", "/get-session")).headers.has("set-auth-jwt"));
}
