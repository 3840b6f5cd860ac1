import type { JwtOptions } from "better-auth/plugins";
import { type JWTPayload, SignJWT } from "jose";

/**
 * Options for the JWT plugin that sign tokens with HS256 and BETTER_AUTH_SECRET. The API then has the secret that protects
 * everything else in Better Auth: use a separate secret in production.
 */
export const sharedSecret = {
  // Better Auth requires both if there is a `sign` function. Neither is used.
  jwks: { remoteUrl: "https://unused.invalid/jwks", keyPairConfig: { alg: "EdDSA" } },
  jwt: {
    sign: (payload: JWTPayload, header?: object) =>
      new SignJWT(payload)
        .setProtectedHeader({ typ: "JWT", ...header, alg: "HS256" })
        .sign(new TextEncoder().encode(process.env.BETTER_AUTH_SECRET)),
  },
} satisfies JwtOptions;
