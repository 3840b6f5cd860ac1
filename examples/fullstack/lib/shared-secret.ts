import type { JwtOptions } from "better-auth/plugins";
import { SignJWT } from "jose";

/** Options for the JWT plugin that sign tokens with BETTER_AUTH_SECRET (HS256), which the API must know then. */
export const sharedSecret = {
  // Asked for with a `sign` of one's own, and not used.
  jwks: { remoteUrl: "https://unused.invalid/jwks", keyPairConfig: { alg: "EdDSA" } },
  jwt: {
    sign: (payload, header) =>
      new SignJWT(payload)
        .setProtectedHeader({ typ: "JWT", ...header, alg: "HS256" })
        .sign(new TextEncoder().encode(process.env.BETTER_AUTH_SECRET)),
  },
} satisfies JwtOptions;
