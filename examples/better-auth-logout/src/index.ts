// Better Auth's jwt plugin, with tokens that become invalid when their session ends. It replaces `jwt()` and takes the same
// options:
//
//   plugins: [jwtWithLogout({ logout: { url: "https://api.example.com/auth/backchannel-logout" } })]

import { APIError } from "better-auth";
import type { AuthContext, BetterAuthPlugin, Session, User } from "better-auth";
// In older versions, named imports that are missing would fail before `checkConfiguration` can say why.
import * as plugins from "better-auth/plugins";
import type { jwt, JwtOptions } from "better-auth/plugins";

import { checkConfiguration, httpUrls } from "./configuration.js";
import { deliver, type LogoutOptions } from "./delivery.js";
import { endInSecondaryStorage, watchDeletions } from "./secondary-storage.js";
import { activeSession, sessionId } from "./session.js";
import { logoutToken } from "./token.js";

export type { DeliveryFailure, LogoutOptions } from "./delivery.js";

export type JwtWithLogoutOptions = JwtOptions & { logout: LogoutOptions };

type JwtPlugin = ReturnType<typeof jwt<JwtOptions>>;
export type JwtWithLogout = Omit<JwtPlugin, "init"> & { init: NonNullable<BetterAuthPlugin["init"]> };

/**
 * The jwt plugin, with three changes:
 * its tokens contain the session's id as `sid`, and expire with the session at the latest;
 * they are issued only for sessions that are still stored, even if a cookie cache contains the session;
 * when a session ends, an OpenID Connect back-channel logout token is sent to `logout.url`.
 *
 * /get-session has no `set-auth-jwt` header unless `disableSettingJwtHeader` is false.
 */
export function jwtWithLogout({ logout, ...options }: JwtWithLogoutOptions): JwtWithLogout {
  const urls = httpUrls(logout.url);
  const settings: JwtOptions = { disableSettingJwtHeader: true, ...options, jwt: { ...options.jwt, definePayload } };
  const plugin: JwtPlugin & BetterAuthPlugin = plugins.jwt(settings);
  let auth: AuthContext;

  return {
    ...plugin,
    async init(context) {
      auth = context;
      checkConfiguration(auth, settings);
      const { secondaryStorage } = auth.options;
      const user = secondaryStorage ? { delete: { after: endSessions } } : {};
      if (secondaryStorage && endInSecondaryStorage(auth.options)) {
        watchDeletions(secondaryStorage, reportEnd);
        return { ...(await plugin.init?.(context)), options: { databaseHooks: { user } } };
      }
      const session = { delete: { after: reportEnd } };
      return { ...(await plugin.init?.(context)), options: { databaseHooks: { user, session } } };
    },
  };

  // Called for every token of a session. The session may come from a cookie cache, and may have ended.
  async function definePayload({ session: { token } }: { session: Session }) {
    const active = await activeSession(auth, token);
    if (!active) throw new APIError("UNAUTHORIZED", { message: "Unauthorized", code: "UNAUTHORIZED" });
    return boundToSession(active, options.jwt);
  }

  async function reportEnd(session: Session) {
    const sid = sessionId(session);
    const sign = () => logoutToken(auth, settings, sid);
    for (const url of urls) auth.runInBackground(deliver(auth, logout, url, sid, sign));
  }

  // Before 1.6.26, Better Auth leaves the sessions of a deleted user in `secondaryStorage`.
  async function endSessions(user: User) {
    // In some of these versions, `deleteSessions` takes a user's id, and there is no `deleteUserSessions`.
    const adapter = auth.internalAdapter as unknown as Record<string, (userId: string) => Promise<void>>;
    await (adapter.deleteUserSessions ?? adapter.deleteSessions)?.(user.id);
  }
}

async function boundToSession(active: { session: Session; user: User }, options: JwtOptions["jwt"]) {
  const claims: Record<string, unknown> = (await options?.definePayload?.(active)) ?? active.user;
  const now = Math.floor(Date.now() / 1000);
  const exp = Number(claims.exp ?? plugins.toExpJWT(options?.expirationTime ?? "15m", Number(claims.iat ?? now)));
  const sessionEnd = Math.floor(active.session.expiresAt.getTime() / 1000);
  return { ...claims, sid: sessionId(active.session), exp: Math.min(exp, sessionEnd) };
}
