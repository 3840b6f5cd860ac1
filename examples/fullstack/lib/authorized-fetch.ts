import type { AccessTokens } from "./access-tokens";
import { ApiError } from "./api-error";

/** A `fetch` for the requests of one user. Each is sent with that user's token, or not at all. */
export function authorizedFetch(tokens: AccessTokens, userId: string, timeout = 10_000) {
  return async (request: Request): Promise<Response> => {
    const first = await send();
    if (first.response.status !== 401) return first.response;
    // A token can become invalid before it expires, if its session ends. There may be a new session.
    const second = await send(first.token);
    if (second.response.status === 401) throw ApiError.tokenRejected();
    return second.response;

    async function send(rejected?: Awaited<ReturnType<AccessTokens["current"]>>) {
      const token = await tokens.current(rejected);
      // Another user has signed in, in another tab.
      if (token.userId !== userId) throw ApiError.signedOut();
      const attempt = request.clone();
      attempt.headers.set("Authorization", `Bearer ${token.jwt}`);
      const signal = AbortSignal.any([request.signal, AbortSignal.timeout(timeout)]);
      return { token, response: await fetch(attempt, { signal }) };
    }
  };
}
