import { betterAuth } from "better-auth";
import { jwtWithLogout } from "better-auth-logout";
import Database from "better-sqlite3";

import { apiUrl, appUrl } from "./settings";
import { sharedSecret } from "./shared-secret";

const signing = process.env.TOKEN_SIGNING === "shared-secret" ? sharedSecret : { jwt: {} };

export const auth = betterAuth({
  baseURL: appUrl,
  database: new Database(process.env.AUTH_DATABASE ?? "auth.db"),
  emailAndPassword: { enabled: true },
  plugins: [
    jwtWithLogout({
      ...signing,
      jwt: {
        ...signing.jwt,
        expirationTime: process.env.TOKEN_LIFETIME ?? "15m",
        definePayload: ({ user }) => ({ email: user.email }),
      },
      logout: { url: `${apiUrl}/auth/backchannel-logout` },
    }),
  ],
});
