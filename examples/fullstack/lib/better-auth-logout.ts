// Better Auth's jwt plugin, with tokens that become invalid when their session ends. It replaces `jwt()` and takes the same
// options:
//
//   plugins: [jwtWithLogout({ logout: { url: "https://api.example.com/auth/backchannel-logout" } })]

import { APIError, BetterAuthError } from "better-auth";
import type { AuthContext, BetterAuthPlugin, GenericEndpointContext, Session, User } from "better-auth";
import { jwt, signJWT, toExpJWT, type JwtOptions } from "better-auth/plugins";

export interface LogoutOptions {
  /** Where logout tokens are sent: a list if there are several APIs, or replicas without a common store. */
  url: string | string[];
  /** Milliseconds to wait before each attempt; 0, 250, 1000, 4000 and 15000 by default. */
  delays?: number[];
  /** Milliseconds until an attempt is abandoned; 2000 by default. */
  timeout?: number;
}

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
  const { delays = [0, 250, 1000, 4000, 15_000], timeout = 2000 } = logout;
  const urls = [logout.url].flat().map(httpUrl);
  if (urls.length === 0) throw new BetterAuthError("logout.url must contain at least one URL");
  const settings: JwtOptions = { disableSettingJwtHeader: true, ...options, jwt: { ...options.jwt, definePayload } };
  const plugin = jwt(settings);
  let auth: AuthContext;

  return {
    ...plugin,
    init(context) {
      auth = context;
      checkConfiguration(auth.options, settings);
      const { secondaryStorage, session } = auth.options;
      // Database hooks run only for sessions in the database.
      if (secondaryStorage && !session?.storeSessionInDatabase) watchDeletions(secondaryStorage, sendLogoutTokens);
      return { ...plugin.init(context), options: { databaseHooks: { session: { delete: { after: sendLogoutTokens } } } } };
    },
  };

  // Called for every token of a session. The session may come from a cookie cache, and may have ended.
  async function definePayload({ session: { token } }: { session: Session }) {
    const stored = await auth.internalAdapter.findSession(token);
    if (!stored || stored.session.expiresAt <= new Date()) {
      throw APIError.fromStatus("UNAUTHORIZED", { message: "Unauthorized", code: "UNAUTHORIZED" });
    }
    return boundToSession(stored, options.jwt);
  }

  async function sendLogoutTokens(session: Session) {
    // A row that was preserved when its session ended may be deleted later, with its user: its logout token was sent.
    if (auth.options.session?.preserveSessionInDatabase && session.expiresAt <= new Date()) return;
    for (const url of urls) auth.runInBackground(deliverLogoutToken(url, session.id));
  }

  async function deliverLogoutToken(url: URL, sid: string) {
    let problem: unknown;
    for (const delay of delays) {
      await new Promise((resume) => setTimeout(resume, delay));
      try {
        const body = new URLSearchParams({ logout_token: await logoutToken(auth, settings, sid) });
        const signal = AbortSignal.timeout(timeout);
        const response = await fetch(url, { method: "POST", body, signal, redirect: "manual" });
        await response.body?.cancel();
        if (response.ok) return;
        problem = `status ${response.status}`;
        if (response.status < 500 && response.status !== 408 && response.status !== 429) break;
      } catch (error) {
        problem = error instanceof Error ? (error.cause ?? error) : error;
      }
    }
    auth.logger.error(`The logout token could not be delivered to ${url.origin}${url.pathname}: ${problem}`);
  }
}

function httpUrl(text: string): URL {
  const url = new URL(text);
  // fetch would reject these each time; fail at start-up instead.
  if (!/^https?:$/.test(url.protocol) || url.username || url.password) {
    throw new BetterAuthError("logout.url must be an http or https URL without a user name or password");
  }
  return url;
}

function checkConfiguration(
  { baseURL, database, secondaryStorage, plugins }: AuthContext["options"],
  { jwt }: JwtOptions,
) {
  if (plugins?.filter(({ id }) => id === "jwt").length !== 1) {
    throw new BetterAuthError("jwtWithLogout() replaces jwt(): remove jwt() or the second jwtWithLogout()");
  }
  // A logout token is signed outside of a request, so the issuer cannot be derived from one.
  if (!(typeof baseURL === "string" && baseURL) && !(jwt?.issuer && jwt.audience)) {
    throw new BetterAuthError("jwtWithLogout() needs a fixed baseURL, or jwt.issuer and jwt.audience");
  }
  if (!database && !secondaryStorage) {
    throw new BetterAuthError("jwtWithLogout() needs sessions in a database or secondaryStorage");
  }
}

type Storage = NonNullable<AuthContext["options"]["secondaryStorage"]>;

function watchDeletions(storage: Storage, deleted: (session: Session) => void) {
  const remove = storage.delete;
  storage.delete = async (key) => {
    const session = storedSession(await storage.get(key));
    const result = await remove.call(storage, key);
    if (session?.token === key) deleted({ ...session, expiresAt: new Date(session.expiresAt) });
    return result;
  };
}

// The storage also keeps numbers, lists and other plugins' data, under other keys.
function storedSession(entry: unknown): Session | undefined {
  try {
    const value: { session?: Session } | null = typeof entry === "string" ? JSON.parse(entry) : entry;
    return value?.session;
  } catch {
    return undefined;
  }
}

async function boundToSession(stored: { session: Session; user: User }, options: JwtOptions["jwt"]) {
  const claims: Record<string, unknown> = (await options?.definePayload?.(stored)) ?? stored.user;
  const now = Math.floor(Date.now() / 1000);
  const exp = Number(claims.exp ?? toExpJWT(options?.expirationTime ?? "15m", Number(claims.iat ?? now)));
  const sessionEnd = Math.floor(stored.session.expiresAt.getTime() / 1000);
  return { ...claims, sid: stored.session.id, exp: Math.min(exp, sessionEnd) };
}

async function logoutToken(auth: AuthContext, options: JwtOptions, sid: string): Promise<string> {
  const iat = Math.floor(Date.now() / 1000);
  const events = { "http://schemas.openid.net/event/backchannel-logout": {} };
  // No `sub`, so this is never accepted as an access token where `sub` is required.
  const payload = { iat, exp: iat + 120, jti: crypto.randomUUID(), sid, events };
  const context = { context: auth } as GenericEndpointContext;
  return signJWT(context, { options, payload, header: { typ: "logout+jwt" } });
}
