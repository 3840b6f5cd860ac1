// Active sessions, and their ids.

import { createHash } from "node:crypto";

import type { AuthContext, Session, User } from "better-auth";

import { endInSecondaryStorage } from "./secondary-storage.js";

/** The session with this token, from the store instead of a cookie cache. */
export async function activeSession(
  { internalAdapter, adapter, options }: AuthContext,
  token: string,
): Promise<{ session: Session; user: User } | null> {
  const stored = await internalAdapter.findSession(token);
  if (!stored || stored.session.expiresAt <= new Date()) return null;
  if (endInSecondaryStorage(options)) {
    // Before 1.5.6, Better Auth also finds sessions that have ended and are only preserved in the database.
    const hasEnded = options.session?.preserveSessionInDatabase && !(await options.secondaryStorage?.get(token));
    return hasEnded ? null : stored;
  }
  if (stored.session.id) return stored;
  // Better Auth 1.4 copies sessions from the database to `secondaryStorage` without their id.
  const row = await adapter.findOne<Session>({ model: "session", where: [{ field: "token", value: token }] });
  return row && { ...stored, session: { ...stored.session, id: row.id } };
}

/** The `sid` of a session. Before 1.6, Better Auth stores sessions in `secondaryStorage` without an id. */
export function sessionId({ id, token }: Session): string {
  return id || createHash("sha256").update(token).digest("base64url");
}
