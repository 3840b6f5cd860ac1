"use client";

import { useCallback, useEffect, useState } from "react";

import { deviceName } from "./device-name";
import { FailureNote } from "../failure";
import { ApiError } from "@/lib/api-error";
import { authClient, signOut } from "@/lib/auth-client";

type Session = typeof authClient.$Infer.Session.session;

const time = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** All sessions of this user, this device first. */
export function Sessions({ currentId }: { currentId: string }) {
  const [sessions, setSessions] = useState<Session[]>();
  const [failure, setFailure] = useState<ApiError>();
  const [news, setNews] = useState("");

  const load = useCallback(async () => {
    setFailure(undefined);
    try {
      const all = await unwrap(authClient.listSessions());
      setSessions(all.sort((a, b) => rank(a) - rank(b)));
    } catch (error) {
      setFailure(ApiError.from(error));
    }

    function rank({ id, createdAt }: Session) {
      return id === currentId ? -Infinity : -createdAt;
    }
  }, [currentId]);
  useEffect(() => void load(), [load]);

  async function end({ id, token }: Session) {
    setFailure(undefined);
    setSessions((sessions) => sessions?.filter((session) => session.id !== id));
    try {
      await unwrap(authClient.revokeSession({ token }));
      setNews("The session has ended.");
    } catch (error) {
      setSessions(sessions);
      setFailure(ApiError.from(error));
    }
  }

  return (
    <main>
      <h1>Sessions</h1>
      <p className="quiet">Where you are signed in. Ending a session signs that device out.</p>
      <FailureNote failure={failure} retry={sessions ? undefined : load} />
      {!sessions && !failure && <p className="quiet">Loading…</p>}
      <ul className="list" aria-label="Sessions">
        {sessions?.map((session) => {
          const device = deviceName(session.userAgent);
          const isCurrent = session.id === currentId;
          return (
            <li key={session.id}>
              <span>
                {device} {isCurrent && <strong className="badge">This device</strong>}
              </span>
              <div className="actions">
                <button
                  onClick={() => void (isCurrent ? signOut() : end(session))}
                  aria-label={isCurrent ? "Sign out of this device" : `End the session on ${device}`}
                >
                  {isCurrent ? "Sign out" : "End"}
                </button>
              </div>
              <p className="quiet description">Signed in {time.format(session.createdAt)}</p>
            </li>
          );
        })}
      </ul>
      <p role="status" className="quiet">
        {news}
      </p>
    </main>
  );
}

async function unwrap<T>(call: Promise<{ data: T | null; error: { status: number } | null }>): Promise<T> {
  const { data, error } = await call;
  if (error?.status === 401) throw ApiError.signedOut();
  // Better Auth lists sessions only within a day after signing in.
  if (error?.status === 403) throw new ApiError("Please sign in again to see your sessions.", { signInAgain: true });
  if (error) throw new ApiError("The sessions cannot be loaded right now. Please try again.");
  return data as T;
}
