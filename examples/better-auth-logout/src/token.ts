// Signs logout tokens with the keys of the session tokens.

import { BetterAuthError, type AuthContext, type GenericEndpointContext } from "better-auth";
import { symmetricDecrypt } from "better-auth/crypto";
import * as plugins from "better-auth/plugins";
import type { JwtOptions } from "better-auth/plugins";
import { decodeJwt, decodeProtectedHeader, importJWK, SignJWT, type JWTPayload } from "jose";

const typ = "logout+jwt";

export async function logoutToken(auth: AuthContext, options: JwtOptions, sid: string): Promise<string> {
  const context = { context: auth } as GenericEndpointContext;
  const iat = Math.floor(Date.now() / 1000);
  const events = { "http://schemas.openid.net/event/backchannel-logout": {} };
  // No `sub`, so this is never accepted as an access token where `sub` is required.
  const payload = { iat, exp: iat + 120, jti: crypto.randomUUID(), sid, events };
  const sign = options.jwt?.sign;
  if (sign) {
    // Better Auth passes the header itself only since 1.7.
    const jwt = { ...options.jwt, sign: (claims: JWTPayload) => sign(claims, { typ }) };
    const token = await plugins.signJWT(context, { options: { ...options, jwt }, payload });
    if (decodeProtectedHeader(token).typ === typ) return token;
    throw new BetterAuthError("jwt.sign must include its second argument in the token's header");
  }
  const token = await plugins.signJWT(context, { options, payload, header: { typ } });
  return decodeProtectedHeader(token).typ === typ ? token : withType(token, context, options);
}

// Before 1.7, Better Auth ignores the header. It has chosen or created the key, so sign the same claims again with it.
async function withType(token: string, context: GenericEndpointContext, options: JwtOptions): Promise<string> {
  const { alg = "", kid } = decodeProtectedHeader(token);
  const { adapter, secret, secretConfig = secret } = context.context;
  const where = [{ field: "id", value: kid ?? "" }];
  const row = options.adapter?.getJwks
    ? (await options.adapter.getJwks(context))?.find(({ id }) => id === kid)
    : await adapter.findOne<plugins.Jwk>({ model: "jwks", where });
  if (!row) throw new BetterAuthError("the key that signed the logout token is not in jwks");
  const stored = row.privateKey;
  const isEncrypted = !options.jwks?.disablePrivateKeyEncryption;
  const jwk = isEncrypted ? await symmetricDecrypt({ key: secretConfig, data: JSON.parse(stored) }) : stored;
  const key = await importJWK(JSON.parse(jwk), alg);
  return new SignJWT(decodeJwt(token)).setProtectedHeader({ alg, ...(kid && { kid }), typ }).sign(key);
}
