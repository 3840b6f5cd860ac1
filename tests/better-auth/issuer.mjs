// A Better Auth server on loopback, with SQLite, for the end-to-end tests.
//
//   BETTER_AUTH_SECRET=<32 characters or more> node issuer.mjs 1.7
//
// The argument is the line of Better Auth: one of the directories beside this file, which pins its version.
//
// It prints one line of JSON when it is ready: {"url": …, "path": …}, the address and the base path. It stops on SIGTERM,
// and when its standard input is closed, so that it stops with the process that started it. Environment variables:
//
//   BETTER_AUTH_SECRET   required
//   SIGNING              jwks (default): the JWT plugin's own key pairs | hs256: the shared secret
//   ALG                  EdDSA (default) | ES256 | ES512 | RS256 | PS256, for jwks
//   PORT                 any free one
//   BASE_URL             the base URL, from which the tokens' issuer follows; by default the address it listens on. If it
//                        begins with a slash, it is appended to the address
//   BASE_PATH            the path of Better Auth's endpoints; /api/auth by default
//   DATABASE             a SQLite file, created if missing; in memory by default
//   TOKEN_LIFETIME       Better Auth's 15m by default; "-1h" issues tokens that expired an hour ago
//   SID                  1 adds the session id to the token
//   ISSUER, AUDIENCE     `iss` and `aud` of the tokens; the base URL's origin by default
//   LOGOUT_URLS          the APIs to which the plugin of examples/better-auth-logout sends logout tokens
//   RATE_LIMIT           how many requests for one path are accepted in 10 seconds; unlimited by default
//   RATE_LIMIT_EXCEPT    a path without this limit
//   ROTATION_INTERVAL    seconds until a new signing key is created; never by default
//   GRACE_PERIOD         seconds that a replaced key stays published; 30 days by default
//   JWKS_PATH            the path of the key set, below the base path; /jwks by default
//   IDS                  uuid | serial: the format of user ids; 32 letters and digits by default
//   COOKIE_CACHE         compact | jwt | jwe: the cookie cache of this kind; jwks: signed with the plugin's own key pairs
//   PLUGINS              more plugins, separated by commas: the names of any in better-auth/plugins, for example
//                        organization,admin. Also oauthProvider, whose resource is https://api.example.com
//   MEMBERS              1: the token has the claims of organization and admin, and /member-role returns the role of its user
//                        in an organization
//   ADMIN                the email address of the user who gets the role "admin" at sign-up

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";
import Database from "better-sqlite3";
import { SignJWT } from "jose";

const { env } = process;
const secret = env.BETTER_AUTH_SECRET;
const line = process.argv[2];
if (!secret || !line) {
  console.error("usage: BETTER_AUTH_SECRET=<32 characters or more> node issuer.mjs 1.7");
  process.exit(2);
}

const { betterAuth } = await load("better-auth");
const { getMigrations } = await load(line === "1.4" ? "better-auth/db" : "better-auth/db/migration");
const { toNodeHandler } = await load("better-auth/node");
const plugins = await load("better-auth/plugins");

// The base URL is part of every token, so the port must be known before Better Auth is created.
let handler = (_request, response) => response.writeHead(503).end();
const server = createServer((request, response) => handler(request, response));
await new Promise((resolve, reject) => {
  server.once("error", reject).listen(Number(env.PORT ?? 0), "127.0.0.1", resolve);
});
const address = `http://127.0.0.1:${server.address().port}`;

const { BASE_URL: base, COOKIE_CACHE: cache, LOGOUT_URLS: urls } = env;
const jwtPlugin = urls ? (await logoutPlugin())({ ...tokens(), logout: { url: urls.split(",") } }) : plugins.jwt(tokens());
const api = "https://api.example.com";
// The settings of both plugins that issue OAuth tokens. The resource is configured by `validAudiences` before 1.7, and by
// the two settings after it since.
const oauth = {
  loginPage: "/login",
  consentPage: "/consent",
  allowDynamicClientRegistration: true,
  scopes: ["openid", "tasks:read"],
  useJWTPlugin: true,
  validAudiences: [api],
  resources: [api],
  enforcePerClientResources: false,
  silenceWarnings: { oauthAuthServerConfig: true, openidConfig: true },
};
const more = env.PLUGINS?.split(",") ?? [];
const options = {
  baseURL: base?.startsWith("/") ? address + base : (base ?? address),
  basePath: env.BASE_PATH,
  secret,
  database: new Database(env.DATABASE ?? ":memory:"),
  emailAndPassword: { enabled: true },
  plugins: [jwtPlugin, plugins.bearer(), ...(await Promise.all(more.map(plugin)))],
  session: cache && { cookieCache: { enabled: true, strategy: cache === "jwks" ? "jwt" : cache } },
  advanced: { database: { generateId: env.IDS } },
  rateLimit: rateLimit(),
  telemetry: { enabled: false },
  logger: { level: "error" },
};
if (env.ADMIN) {
  const before = async (user) => (user.email === env.ADMIN ? { data: { role: "admin" } } : undefined);
  options.databaseHooks = { user: { create: { before } } };
}
await (await getMigrations(options)).runMigrations();
const auth = betterAuth(options);
handler = toNodeHandler(auth);
if (env.MEMBERS === "1") {
  const next = handler;
  handler = (request, response) => (request.url.startsWith("/member-role?") ? memberRole : next)(request, response);
}

for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, stop);
process.stdin.on("close", stop).on("error", stop).resume();
const path = new URL((await auth.$context).baseURL).pathname;
console.log(JSON.stringify({ url: address, path }));

async function plugin(name) {
  if (name === "oauthProvider") {
    const { oauthProvider } = await load("@better-auth/oauth-provider", "oauth-provider/");
    return oauthProvider(oauth);
  }
  return plugins[name](name === "oidcProvider" ? oauth : undefined);
}

// Imports a module of the line's packages. An import declaration would look beside this file.
function load(name, directory = "") {
  const { resolve } = createRequire(new URL(`${line}/${directory}`, import.meta.url));
  return import(pathToFileURL(resolve(name)));
}

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
  if (env.MEMBERS === "1") jwt.definePayload = claims;
  return env.SIGNING === "hs256" ? sharedSecret(jwt) : keyPairs(jwt);
}

// This function and the next two are those of the guide about organizations. The membership is looked up, because Better
// Auth keeps the active organization of a user who has been removed from it.
async function claims({ user, session }) {
  const organizationId = session.activeOrganizationId;
  const member = organizationId && (await findMember(organizationId, user.id));
  return {
    sid: session.id,
    role: user.role,
    banned: user.banned,
    emailVerified: user.emailVerified,
    isAnonymous: user.isAnonymous,
    impersonatedBy: session.impersonatedBy ?? null,
    activeOrganizationId: member ? organizationId : null,
  };
}

async function findMember(organizationId, userId) {
  const { adapter } = await auth.$context;
  return adapter.findOne({
    model: "member",
    where: [
      { field: "organizationId", value: organizationId },
      { field: "userId", value: userId },
    ],
  });
}

async function memberRole(request, response) {
  const token = (request.headers.authorization ?? "").replace(/^Bearer /i, "");
  const { payload } = await auth.api.verifyJWT({ body: { token } });
  if (!payload?.sub) return response.writeHead(401).end();
  const organizationId = new URL(request.url, address).searchParams.get("organizationId") ?? "";
  const member = await findMember(organizationId, payload.sub);
  response.setHeader("content-type", "application/json").end(JSON.stringify({ role: member?.role ?? null }));
}

function keyPairs(jwt) {
  const jwks = {};
  if (env.ALG) jwks.keyPairConfig = { alg: env.ALG };
  if (env.ROTATION_INTERVAL) jwks.rotationInterval = Number(env.ROTATION_INTERVAL);
  if (env.JWKS_PATH) jwks.jwksPath = env.JWKS_PATH;
  if (env.GRACE_PERIOD) jwks.gracePeriod = Number(env.GRACE_PERIOD);
  return cache === "jwks" ? { jwks, jwt, sessionCookieCache: true } : { jwks, jwt };
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

// The plugin is written in TypeScript, and imports Better Auth from the nearest `node_modules`, so it is compiled into the
// line's directory.
async function logoutPlugin() {
  const file = (path) => fileURLToPath(new URL(path, import.meta.url));
  const output = mkdtempSync(file(`./${line}/.plugin-`));
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
