// Sessions in `secondaryStorage`. Better Auth runs no hook when one is deleted.

import type { BetterAuthOptions, Session } from "better-auth";

type Storage = NonNullable<BetterAuthOptions["secondaryStorage"]>;

/** Whether sessions end when they are deleted from `secondaryStorage`, even if their rows remain in the database. */
export function endInSecondaryStorage({ secondaryStorage, session }: BetterAuthOptions): boolean {
  return Boolean(secondaryStorage && (!session?.storeSessionInDatabase || session.preserveSessionInDatabase));
}

export function watchDeletions(storage: Storage, deleted: (session: Session) => void) {
  const remove = storage.delete;
  storage.delete = async (key) => {
    const session = sessionIn(await storage.get(key));
    const result = await remove.call(storage, key);
    if (session?.token === key) deleted(session);
    return result;
  };
}

// The storage also keeps numbers, lists and other plugins' data, under other keys.
function sessionIn(entry: unknown): Session | undefined {
  try {
    const value: { session?: Session } | null = typeof entry === "string" ? JSON.parse(entry) : entry;
    return value?.session;
  } catch {
    return undefined;
  }
}
