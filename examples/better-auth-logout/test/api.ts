// The API that hears of ended sessions: an endpoint on loopback, answering as it is told to, and the check that it makes.

import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

import { createRemoteJWKSet, jwtVerify, type CryptoKey, type JWTVerifyGetKey } from "jose";

import type { Lifetime } from "./issuer.js";

export type Answer = (response: ServerResponse, request: IncomingMessage) => void;

export const status =
  (code: number, headers = {}): Answer =>
  (response) =>
    void response.writeHead(code, headers).end();
export const reset: Answer = (_response, { socket }) => void socket.resetAndDestroy();
export const hang: Answer = () => {};

export type Api = Awaited<ReturnType<typeof startApi>>;

/** Answers with `answers`, one for each request, and 200 from then on. */
export async function startApi(test: Lifetime, ...answers: Answer[]) {
  const tokens: string[] = [];
  const paths: string[] = [];
  const waiting: (() => void)[] = [];
  const server = createServer(async (request, response) => {
    const form = new URLSearchParams(await text(request));
    assert.equal(request.method, "POST");
    assert.equal(request.headers["content-type"], "application/x-www-form-urlencoded;charset=UTF-8");
    assert.deepEqual([...form.keys()], ["logout_token"]);
    tokens.push(form.get("logout_token") ?? "");
    paths.push(request.url ?? "");
    (answers.shift() ?? status(200))(response, request);
    for (const resume of waiting.splice(0)) resume();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const stop = () => {
    server.close();
    server.closeAllConnections();
  };
  test.after(stop);

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/auth/backchannel-logout`,
    /** What was sent, good or bad, in the order of its arrival. */
    tokens,
    paths,
    stop,
    /** Until so many tokens have come. */
    async heard(count: number) {
      while (tokens.length < count) await new Promise<void>((resume) => waiting.push(resume));
    },
  };
}

/** The sids of logout tokens, each of which must be exactly what the README promises. */
export async function verifiedSids(tokens: string[], issuer: string): Promise<string[]> {
  const keys = createRemoteJWKSet(new URL(`${issuer}/api/auth/jwks`));
  const sids = await Promise.all(tokens.map(async (token) => (await verify(token, keys, issuer)).sid));
  return sids.map(String).sort();
}

export async function verify(
  token: string,
  key: JWTVerifyGetKey | Uint8Array | CryptoKey,
  issuer: string,
  audience = issuer,
) {
  const expected = { issuer, audience, typ: "logout+jwt" };
  const { payload } = await (typeof key === "function"
    ? jwtVerify(token, key, expected)
    : jwtVerify(token, key, expected));
  assert.deepEqual(Object.keys(payload).sort(), ["aud", "events", "exp", "iat", "iss", "jti", "sid"]);
  assert.deepEqual(payload.events, { "http://schemas.openid.net/event/backchannel-logout": {} });
  assert.ok(Number.isInteger(payload.iat) && Number(payload.exp) - Number(payload.iat) === 120);
  assert.match(String(payload.jti), /^[0-9a-f-]{36}$/);
  return payload;
}
