// Sends a logout token to an API, with retries. The user does not wait for it.

import type { AuthContext } from "better-auth";

export interface LogoutOptions {
  /** Where logout tokens are sent: a list if there are several APIs, or replicas without a common store. */
  url: string | string[];
  /** Milliseconds to wait before each attempt, plus up to a quarter; 0, 250, 1000, 4000 and 15000 by default. */
  delays?: number[];
  /** Milliseconds until an attempt is abandoned; 2000 by default. */
  timeout?: number;
  /** Called if a logout token could not be delivered. The error is also logged. */
  onDeliveryFailed?(failure: DeliveryFailure): void | Promise<void>;
}

export interface DeliveryFailure {
  /** The URL from `logout.url`, without its query. */
  url: string;
  /** The id of the session that has ended: the `sid` of its tokens. */
  sessionId: string;
  /** How many times delivery was attempted. */
  attempts: number;
  /** Why the last attempt failed, such as "status 400" or "connect ECONNREFUSED 192.0.2.1:443". */
  reason: string;
}

export async function deliver(
  { logger }: AuthContext,
  { delays = [0, 250, 1000, 4000, 15_000], timeout = 2000, onDeliveryFailed }: LogoutOptions,
  url: URL,
  sessionId: string,
  sign: () => Promise<string>,
): Promise<void> {
  const failure: DeliveryFailure = { url: url.origin + url.pathname, sessionId, attempts: 0, reason: "" };
  for (const delay of delays) {
    await new Promise((resume) => setTimeout(resume, delay * (1 + Math.random() / 4)));
    failure.attempts++;
    try {
      const body = new URLSearchParams({ logout_token: await sign() });
      const signal = AbortSignal.timeout(timeout);
      const response = await fetch(url, { method: "POST", body, signal, redirect: "manual" });
      await response.body?.cancel();
      if (response.ok) return;
      failure.reason = `status ${response.status}`;
      if (response.status < 500 && response.status !== 408 && response.status !== 429) break;
    } catch (error) {
      failure.reason = String(error instanceof Error ? (error.cause ?? error) : error);
    }
  }
  logger.error(`The logout token could not be delivered to ${failure.url}: ${failure.reason}`);
  try {
    await onDeliveryFailed?.(failure);
  } catch (error) {
    logger.error("logout.onDeliveryFailed failed:", error);
  }
}
