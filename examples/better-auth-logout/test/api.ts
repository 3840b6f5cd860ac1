// An API on loopback that receives logout tokens, with configurable responses, and the verification of these tokens.

import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

import { createRemoteJWKSet, jwtVerify, type CryptoKey, type JWTVerifyGetKey } from "jose";

import type { Lifetime } from "./issuer.js";

export type Handler = (response: ServerResponse, request: IncomingMessage) => void;

export const status =
  (code: number, headers = {}): Handler =>
  (response) =>
    void response.writeHead(code, headers).end();
export const reset: Handler = (_response, { socket }) => void socket.resetAndDestroy();
export const hang: Handler = () => {};

export type Api = Awaited<ReturnType<typeof startApi>>;

/** Starts an API that uses one of `handlers` for each request, and then responds with 200. */
export async function startApi(test: Lifetime, ...handlers: Handler[]) {
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
    (handlers.shift() ?? status(200))(response, request);
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
    /** The logout tokens received so far, valid or not. */
    tokens,
    paths,
    stop,
    /** Waits until `count` tokens have been received. */
    async received(count: number) {
      while (tokens.length < count) await new Promise<void>((resume) => waiting.push(resume));
    },
  };
}

/** Verifies that logout tokens are as documented in the README, and returns their sids. */
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
