// A Better Auth server on loopback, with SQLite, for the end-to-end tests.
//
//   BETTER_AUTH_SECRET=<32 characters or more> node issuer.mjs
//
// It prints one line of JSON, {"url": …}, when it is ready. It stops on SIGTERM, and when its standard input is closed,
// so that it stops with the process that started it. Environment variables:
//
//   BETTER_AUTH_SECRET   required
//   SIGNING              jwks (default): the JWT plugin's own key pairs | hs256: the shared secret
//   ALG                  EdDSA (default) | ES256 | ES512 | RS256 | PS256, for jwks
//   PORT                 any free one
//   BASE_URL             the base URL, from which the tokens' issuer follows; by default the address it listens on
//   DATABASE             a SQLite file, created if missing; in memory by default
//   TOKEN_LIFETIME       Better Auth's 15m by default; "-1h" issues tokens that expired an hour ago
//   SID                  1 adds the session id to the token
//   ISSUER, AUDIENCE     `iss` and `aud` of the tokens; the base URL's origin by default
//   LOGOUT_URLS          the APIs to which the plugin of examples/better-auth-logout sends logout tokens
//   RATE_LIMIT           how many requests for one path are accepted in 10 seconds; unlimited by default
//   RATE_LIMIT_EXCEPT    a path without this limit
//   ROTATION_INTERVAL    seconds until a new signing key is created; never by default
//   GRACE_PERIOD         seconds that a replaced key stays published; 30 days by default

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { fileURLToPath, pathToFileURL } from "node:url";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { toNodeHandler } from "better-auth/node";
import { bearer, jwt } from "better-auth/plugins";
import Database from "better-sqlite3";
import { SignJWT } from "jose";

const { env } = process;
const secret = env.BETTER_AUTH_SECRET;
if (!secret) {
  console.error("set BETTER_AUTH_SECRET");
  process.exit(2);
}

// The base URL is part of every token, so the port must be known before Better Auth is created.
let handler = (_request, response) => response.writeHead(503).end();
const server = createServer((request, response) => handler(request, response));
await new Promise((resolve, reject) => {
  server.once("error", reject).listen(Number(env.PORT ?? 0), "127.0.0.1", resolve);
});
const address = `http://127.0.0.1:${server.address().port}`;

const { LOGOUT_URLS: urls } = env;
const jwtPlugin = urls ? (await logoutPlugin())({ ...tokens(), logout: { url: urls.split(",") } }) : jwt(tokens());
const options = {
  baseURL: env.BASE_URL ?? address,
  secret,
  database: new Database(env.DATABASE ?? ":memory:"),
  emailAndPassword: { enabled: true },
  plugins: [jwtPlugin, bearer()],
  rateLimit: rateLimit(),
  telemetry: { enabled: false },
  logger: { level: "error" },
};
await (await getMigrations(options)).runMigrations();
handler = toNodeHandler(betterAuth(options));

for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, stop);
process.stdin.on("close", stop).on("error", stop).resume();
console.log(JSON.stringify({ url: address }));

function rateLimit() {
  if (!env.RATE_LIMIT) return { enabled: false };
  const customRules = env.RATE_LIMIT_EXCEPT ? { [env.RATE_LIMIT_EXCEPT]: false } : {};
  return { enabled: true, window: 10, max: Number(env.RATE_LIMIT), customRules };
}

function tokens() {
  const jwt = {};
  if (env.ISSUER) jwt.issuer = env.ISSUER;
  if (env.AUDIENCE) jwt.audience = env.AUDIENCE;
  if (env.TOKEN_LIFETIME) jwt.expirationTime = env.TOKEN_LIFETIME;
  if (env.SID === "1") jwt.definePayload = ({ user, session }) => ({ email: user.email, name: user.name, sid: session.id });
  return env.SIGNING === "hs256" ? sharedSecret(jwt) : keyPairs(jwt);
}

function keyPairs(jwt) {
  const jwks = {};
  if (env.ALG) jwks.keyPairConfig = { alg: env.ALG };
  if (env.ROTATION_INTERVAL) jwks.rotationInterval = Number(env.ROTATION_INTERVAL);
  if (env.GRACE_PERIOD) jwks.gracePeriod = Number(env.GRACE_PERIOD);
  return { jwks, jwt };
}

// Better Auth requires a remote key set and its algorithm if there is a custom `sign` function, but uses neither.
function sharedSecret(jwt) {
  const key = new TextEncoder().encode(secret);
  const sign = (payload, header) => new SignJWT(payload).setProtectedHeader({ typ: "JWT", ...header, alg: "HS256" }).sign(key);
  return {
    jwks: { remoteUrl: "https://keys.invalid/jwks.json", keyPairConfig: { alg: "EdDSA" } },
    jwt: { ...jwt, sign },
  };
}

// The plugin is written in TypeScript, and imports Better Auth from the nearest `node_modules`, so it is compiled into this
// directory.
async function logoutPlugin() {
  const file = (path) => fileURLToPath(new URL(path, import.meta.url));
  const output = mkdtempSync(file("./.plugin-"));
  const compile = [file("node_modules/typescript/bin/tsc"), "--outDir", output, "--noCheck", "--module", "nodenext"];
  try {
    execFileSync(process.execPath, [...compile, "--target", "es2022", file("../../examples/better-auth-logout/src/index.ts")]);
    return (await import(pathToFileURL(`${output}/index.js`))).jwtWithLogout;
  } finally {
    rmSync(output, { recursive: true });
  }
}

function stop() {
  server.close();
  server.closeAllConnections();
  process.exit(0);
}
