"use client";

/** For unexpected errors. Errors of the API are shown where they happen. */
export default function Failure() {
  return (
    <main className="narrow card">
      <h1>Something went wrong</h1>
      <p>The page could not be shown. Your tasks are safe.</p>
      <button className="primary" onClick={() => location.reload()}>
        Try again
      </button>
    </main>
  );
}
