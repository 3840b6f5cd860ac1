// The contents of session tokens and logout tokens.

import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";

import { jwt, type Jwk, type JwtOptions } from "better-auth/plugins";
import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify, SignJWT, type JWTPayload } from "jose";

import { jwtWithLogout } from "better-auth-logout";
import { startApi, verify, verifiedSids } from "./api.js";
import { minor, signIn, startIssuer, storages, type Device, type IssuerSettings, type Storage } from "./issuer.js";

const sharedSecret = new TextEncoder().encode("a secret that the API shares, of 32 bytes or more");

// Better Auth requires both settings if there is a custom `sign` function, but uses neither.
const hs256 = (header: (header?: { typ?: string }) => { typ?: string }): JwtOptions => ({
  jwks: { remoteUrl: "https://keys.invalid/jwks.json", keyPairConfig: { alg: "EdDSA" } },
  jwt: {
    sign: (payload: JWTPayload, extra?: { typ?: string }) =>
      new SignJWT(payload).setProtectedHeader({ ...header(extra), alg: "HS256" }).sign(sharedSecret),
  },
});

describe("a logout token", () => {
  for (const alg of ["EdDSA", "ES256", "ES512", "RS256", "PS256"] as const) {
    test(`is signed with the published key, with ${alg}`, async (t) => {
      const { api, issuer, device } = await arrange(t, { jwks: { keyPairConfig: { alg } } });
      const sid = await device.sid();
      await device.post("/sign-out");
      await issuer.settled();
      assert.deepEqual(await verifiedSids(api.tokens, issuer.url), [sid]);
      const { keys } = await device.get("/jwks");
      assert.deepEqual(decodeProtectedHeader(api.tokens[0] ?? ""), { typ: "logout+jwt", alg, kid: keys[0].kid });
    });
  }

  test("is signed with a new key if the key has expired", async (t) => {
    const { api, issuer, device } = await arrange(t, { jwks: { rotationInterval: 60 } });
    await device.claims();
    const [{ kid }] = (await device.get("/jwks")).keys;
    issuer.sql(`update "jwks" set "expiresAt" = ?`, new Date(Date.now() - 1000).toISOString());
    await device.post("/sign-out");
    await issuer.settled();
    assert.equal((await verifiedSids(api.tokens, issuer.url)).length, 1);
    assert.notEqual(decodeProtectedHeader(api.tokens[0] ?? "").kid, kid);
  });

  test("is signed with a private key that is stored without encryption", async (t) => {
    const { api, issuer, device } = await arrange(t, { jwks: { disablePrivateKeyEncryption: true } });
    await device.post("/sign-out");
    await issuer.settled();
    assert.equal((await verifiedSids(api.tokens, issuer.url)).length, 1);
  });

  test("is signed with a key that is stored elsewhere", async (t) => {
    const keys: Jwk[] = [];
    const adapter = {
      getJwks: async () => keys,
      createJwk: async (key: Omit<Jwk, "id">) => {
        keys.push({ ...key, id: "the key" });
        return keys[0]!;
      },
    };
    const { api, issuer, device } = await arrange(t, { adapter });
    await device.post("/sign-out");
    await issuer.settled();
    assert.equal((await verifiedSids(api.tokens, issuer.url)).length, 1);
    assert.equal(decodeProtectedHeader(api.tokens[0] ?? "").kid, "the key");
  });

  test("is not sent if jwt.sign leaves out the header, and the error says so", async (t) => {
    const { api, issuer, device } = await arrange(
      t,
      hs256(() => ({ typ: "JWT" })),
    );
    await device.post("/sign-out");
    await issuer.settled();
    assert.deepEqual(api.tokens, []);
    assert.match(issuer.logged.join(), /jwt.sign must include its second argument in the token's header/);
  });

  test("is signed with the shared secret if the tokens are", async (t) => {
    const { api, issuer, device } = await arrange(
      t,
      hs256((header) => ({ typ: "JWT", ...header })),
    );
    const { token } = await device.get("/token");
    const { payload, protectedHeader } = await jwtVerify(token, sharedSecret, {
      issuer: issuer.url,
      audience: issuer.url,
    });
    assert.equal(protectedHeader.typ, "JWT");
    await device.post("/sign-out");
    await issuer.settled();
    assert.equal((await verify(api.tokens[0] ?? "", sharedSecret, issuer.url)).sid, payload.sid);
    assert.deepEqual(decodeProtectedHeader(api.tokens[0] ?? ""), { typ: "logout+jwt", alg: "HS256" });
  });

  test("has the configured issuer and audiences", async (t) => {
    const audience = ["https://api.example.com", "https://reports.example.com"];
    const { api, issuer, device } = await arrange(t, { jwt: { issuer: "https://login.example.com", audience } });
    await device.post("/sign-out");
    await issuer.settled();
    const keys = createRemoteJWKSet(new URL(`${issuer.url}/api/auth/jwks`));
    const { aud } = await verify(api.tokens[0] ?? "", keys, "https://login.example.com", "https://api.example.com");
    assert.deepEqual(aud, audience);
  });

  test("and a session's token are not interchangeable", async (t) => {
    const { api, issuer, device } = await arrange(t);
    const { token } = await device.get("/token");
    await device.post("/sign-out");
    await issuer.settled();
    const keys = createRemoteJWKSet(new URL(`${issuer.url}/api/auth/jwks`));
    await assert.rejects(verify(token, keys, issuer.url), /typ/);
    await assert.rejects(jwtVerify(api.tokens[0] ?? "", keys, { requiredClaims: ["sub"] }), /sub/);
  });
});

describe("sid", () => {
  const cookieCache = { enabled: true };
  const configurations: Record<string, Storage> = {
    ...storages,
    "the database, with a cookie cache": { session: { cookieCache } },
    "secondaryStorage only, with a cookie cache": { secondary: true, session: { cookieCache } },
  };
  for (const [name, storage] of Object.entries(configurations)) {
    test(`stays the same while the session is extended, and changes after signing in again: ${name}`, async (t) => {
      // Each request for the session extends it, unless it is in the cookie cache.
      const { issuer, device } = await arrange(t, {}, { ...storage, session: { ...storage.session, updateAge: 0 } });
      const { sid } = await device.claims();
      // Without an id, it is a hash of the session's token.
      assert.match(String(sid), /^([A-Za-z0-9]{32}|[\w-]{43})$/);
      if (minor >= 6) assert.equal(String(sid).length, 32);
      const expiresAt = async () =>
        Date.parse((await device.get("/get-session?disableCookieCache=true")).session.expiresAt);
      let before = await expiresAt();
      for (let times = 0; times < 2; times++) {
        await new Promise((resume) => setTimeout(resume, 5));
        const extended = await expiresAt();
        assert.ok(extended > before);
        before = extended;
        assert.equal(await device.sid(), sid);
      }
      await device.post("/sign-out");
      await issuer.settled();
      assert.notEqual(await (await signIn(device)).sid(), sid);
    });
  }

  for (const [name, storage] of Object.entries(storages)) {
    test(`is in the logout token if the session was stored by Better Auth 1.4: ${name}`, async (t) => {
      const { api, issuer, device } = await arrange(t, {}, storage);
      await issuer.removeIds();
      const sid = await device.sid();
      assert.match(sid, /^[\w-]{32,43}$/);
      await device.post("/sign-out");
      await issuer.settled();
      assert.deepEqual(await verifiedSids(api.tokens, issuer.url), [sid]);
    });
  }

  test("is a string even if the database has serial ids", async (t) => {
    const { api, issuer, device } = await arrange(t, {}, { generateId: "serial" });
    assert.equal((await device.claims()).sid, "1");
    await device.post("/sign-out");
    await issuer.settled();
    assert.deepEqual(await verifiedSids(api.tokens, issuer.url), ["1"]);
  });
});

describe("a session's token", () => {
  test("has the claims of the jwt plugin, and sid", async (t) => {
    const { device, issuer } = await arrange(t);
    const plain = await startIssuer(t, { plugins: [jwt()] });
    const claims = async (from: Device) => Object.keys(await from.claims()).sort();
    assert.deepEqual(await claims(device), [...(await claims(await plain.signUp())), "sid"].sort());
    assert.equal((await device.claims()).iss, issuer.url);
  });

  test("has the claims of definePayload, and sid", async (t) => {
    const { device } = await arrange(t, { jwt: { definePayload: ({ user }) => ({ email: user.email }) } });
    assert.deepEqual(Object.keys(await device.claims()).sort(), ["aud", "email", "exp", "iat", "iss", "sid", "sub"]);
  });

  test("has current claims, even if the cookie cache contains older ones", async (t) => {
    const { issuer, device } = await arrange(t, {}, { session: { cookieCache: { enabled: true } } });
    issuer.sql(`update "user" set "name" = 'Grace'`);
    assert.equal((await device.get("/get-session")).user.name, "Ada");
    assert.equal((await device.claims()).name, "Grace");
  });

  const hour = 3600;
  const cases: { what: string; options?: JwtOptions["jwt"]; session?: number; lifetime: number }[] = [
    { what: "for 15 minutes by default", lifetime: 900 },
    { what: "for expirationTime", options: { expirationTime: "2h" }, lifetime: 2 * hour },
    { what: "no longer than the session, by default", session: 600, lifetime: 600 },
    {
      what: "no longer than the session, by expirationTime",
      options: { expirationTime: "7d" },
      session: hour,
      lifetime: hour,
    },
    {
      what: "no longer than the session, by definePayload",
      options: { definePayload: () => ({ exp: now() + 2 * hour }) },
      session: hour,
      lifetime: hour,
    },
    {
      what: "less than the session, by definePayload",
      options: { definePayload: () => ({ exp: now() + 60 }) },
      lifetime: 60,
    },
  ];
  for (const { what, options, session, lifetime } of cases) {
    test(`is valid ${what}`, async (t) => {
      const { device } = await arrange(
        t,
        options ? { jwt: options } : {},
        session ? { session: { expiresIn: session } } : {},
      );
      const { iat = 0, exp = 0 } = await device.claims();
      assert.ok(exp - iat === lifetime || exp - iat === lifetime - 1, `${exp - iat} s`);
      const end = Date.parse((await device.get("/get-session")).session.expiresAt);
      assert.ok(Number.isInteger(exp) && exp * 1000 <= end);
    });
  }

  test("is valid for at most a day if rememberMe is false", async (t) => {
    const { device } = await arrange(t, { jwt: { expirationTime: "7d" } });
    const { iat = 0, exp = 0 } = await (await signIn(device, { rememberMe: false })).claims();
    assert.ok(exp - iat <= 24 * hour && exp - iat >= 24 * hour - 1);
  });

  test("expires with a session that the storage drops, which is not reported", async (t) => {
    const { api, issuer, device } = await arrange(
      t,
      { jwt: { expirationTime: "7d" } },
      { secondary: true, session: { expiresIn: hour } },
    );
    issuer.entries.dropsExpired = true;
    const { exp = 0 } = await device.claims();
    t.mock.timers.enable({ apis: ["Date"], now: Date.now() });
    // Better Auth gives the storage whole seconds, rounded down.
    t.mock.timers.tick((hour - 2) * 1000);
    assert.ok((await device.get("/get-session?disableRefresh=true")).session);
    t.mock.timers.tick(2000);
    assert.equal(await device.get("/get-session?disableRefresh=true"), null);
    await issuer.settled();
    assert.ok(exp * 1000 <= Date.now());
    assert.deepEqual(api.tokens, []);
  });
});

async function arrange(t: TestContext, options: JwtOptions = {}, settings: Partial<IssuerSettings> = {}) {
  const api = await startApi(t);
  const plugin = jwtWithLogout({ ...options, logout: { url: api.url, delays: [0] } });
  const issuer = await startIssuer(t, { ...settings, plugins: [plugin] });
  return { api, issuer, device: await issuer.signUp() };
}

const now = () => Math.floor(Date.now() / 1000);
