// Configurations with which ended sessions would not be reported are rejected at start-up.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";

import { betterAuth, type AuthContext, type BetterAuthOptions } from "better-auth";
import { jwt } from "better-auth/plugins";
import Database from "better-sqlite3";

import { jwtWithLogout } from "better-auth-logout";
import { minor, secret } from "./issuer.js";

const logout = { url: "https://api.example.com/auth/backchannel-logout" };
const issuer = "https://login.example.com";

const allowedHosts = { allowedHosts: ["*.example.com"] } as unknown as string;
const needsAllowedHosts = { skip: minor < 5 };

describe("Better Auth starts", () => {
  test("with a base URL in the environment", async (t) => {
    process.env.BETTER_AUTH_URL = issuer;
    t.after(() => delete process.env.BETTER_AUTH_URL);
    await starts({});
  });
  test("with a fixed base URL", () => starts({ baseURL: issuer }));
  test("without a base URL, if issuer and audience are configured", () =>
    starts({ plugins: [jwtWithLogout({ logout, jwt: { issuer, audience: issuer } })] }));
  test("with a base URL for each request, if issuer and audience are configured", needsAllowedHosts, () =>
    starts({ baseURL: allowedHosts, plugins: [jwtWithLogout({ logout, jwt: { issuer, audience: issuer } })] }));
  test("with several URLs", () =>
    starts({ baseURL: issuer, plugins: [jwtWithLogout({ logout: { url: [logout.url, logout.url] } })] }));
});

for (const [version, isSupported] of [
  [undefined, false],
  ["1.3.34", false],
  ["1.4.21", false],
  ["1.4.22", true],
  ["1.5.0", true],
  ["1.7.0-rc.4", true],
  ["1.10.0", true],
  ["2.0.0", true],
] as const) {
  test(`Better Auth ${version ?? "without a version"} is ${isSupported ? "" : "not "}supported`, async () => {
    const context = await betterAuth({ ...options(), baseURL: issuer }).$context;
    const plugin = jwtWithLogout({ logout });
    const started = Promise.resolve().then(() => plugin.init({ ...context, version } as AuthContext));
    await (isSupported ? started : assert.rejects(started, /needs Better Auth 1.4.22 or later/));
  });
}

describe("Better Auth does not start", () => {
  test("without a base URL", () => fails({}, /needs a fixed baseURL, or jwt.issuer and jwt.audience/));
  test("with a base URL for each request", needsAllowedHosts, () =>
    fails({ baseURL: allowedHosts }, /needs a fixed baseURL/));
  test("with an issuer alone", () =>
    fails({ plugins: [jwtWithLogout({ logout, jwt: { issuer } })] }, /needs a fixed baseURL/));
  test("with an audience alone", () =>
    fails({ plugins: [jwtWithLogout({ logout, jwt: { audience: issuer } })] }, /needs a fixed baseURL/));
  test("with jwt() before it", () =>
    fails({ baseURL: issuer, plugins: [jwt(), jwtWithLogout({ logout })] }, /remove jwt/));
  test("with jwt() after it", () =>
    fails({ baseURL: issuer, plugins: [jwtWithLogout({ logout }), jwt()] }, /remove jwt/));
  test("with sessions in cookies alone", () =>
    fails({ baseURL: issuer, database: undefined }, /needs sessions in a database or secondaryStorage/));
});

for (const url of [
  "",
  "/auth/backchannel-logout",
  "ftp://api.example.com/",
  "https://user:password@api.example.com/",
  [],
]) {
  test(`logout.url ${JSON.stringify(url)} is rejected`, () => {
    assert.throws(
      () => jwtWithLogout({ logout: { url } }),
      (error: Error) => !error.message.includes("password@"),
    );
  });
}

test("the README names the tested version", () => {
  const readme = readFileSync("node_modules/better-auth-logout/README.md", "utf8");
  const { version } = JSON.parse(readFileSync("node_modules/better-auth/package.json", "utf8"));
  assert.ok(readme.includes(`| 1.${minor} | ${version} |`), version);
});

test("auth.api has the types of the jwt plugin", async () => {
  const { api } = betterAuth({ ...options(), baseURL: issuer, plugins: [jwtWithLogout({ logout })] });
  const getToken: (input: { headers: HeadersInit }) => Promise<{ token: string }> = api.getToken;
  assert.equal(typeof getToken, "function");
});

async function starts(given: Partial<BetterAuthOptions>) {
  await betterAuth({ ...options(), ...given }).$context;
}

async function fails(given: Partial<Record<keyof BetterAuthOptions, unknown>>, message: RegExp) {
  await assert.rejects(betterAuth({ ...options(), ...given } as BetterAuthOptions).$context, message);
}

function options() {
  return {
    secret,
    database: new Database(":memory:") as BetterAuthOptions["database"],
    plugins: [jwtWithLogout({ logout })],
    telemetry: { enabled: false },
    logger: { disabled: true },
  };
}
