import type { ApiError } from "@/lib/api-error";
import { signOut } from "@/lib/auth-client";

/** What went wrong, and what to do about it. */
export function FailureNote({ failure, retry }: { failure: ApiError | undefined; retry?: (() => void) | undefined }) {
  if (!failure) return null;
  return (
    <div role="alert" className="failure">
      <p>{failure.message}</p>
      {failure.signInAgain && <button onClick={() => void signOut()}>Sign in again</button>}
      {!failure.signInAgain && retry && <button onClick={retry}>Try again</button>}
    </div>
  );
}
