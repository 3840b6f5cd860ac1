// Configurations in which ended sessions would not be reported are rejected at start-up.

import { BetterAuthError, type AuthContext } from "better-auth";
import type { JwtOptions } from "better-auth/plugins";

export function httpUrls(given: string | string[]): URL[] {
  const urls = [given].flat().map((text) => new URL(text));
  if (urls.length === 0) throw new BetterAuthError("logout.url must contain at least one URL");
  // fetch would reject these each time; fail at start-up instead.
  if (urls.some((url) => !/^https?:$/.test(url.protocol) || url.username || url.password)) {
    throw new BetterAuthError("logout.url must be an http or https URL without a user name or password");
  }
  return urls;
}

export function checkConfiguration({ version, options }: AuthContext, { jwt }: JwtOptions) {
  const { baseURL, database, secondaryStorage, plugins = [] } = options;
  if (!isSupported(version)) throw new BetterAuthError("jwtWithLogout() needs Better Auth 1.4.22 or later");
  if (plugins.filter(({ id }) => id === "jwt").length !== 1) {
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

// Better Auth before 1.4.16 has no `version` in its context.
function isSupported(version = "") {
  const [major = 0, minor = 0, patch = 0] = version.split(/[.-]/).map(Number);
  return major > 1 || minor > 4 || (minor === 4 && patch >= 22);
}
