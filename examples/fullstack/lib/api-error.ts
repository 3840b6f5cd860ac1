import type { components } from "./api-schema";

type Problem = components["schemas"]["Problem"];

/** Why the API did not do what it was asked for, in words for the person at the screen. */
export class ApiError extends Error {
  /** What is wrong with which field of a form. */
  readonly fields: Record<string, string> = {};
  readonly status: number | undefined;
  readonly signInAgain: boolean = false;

  constructor(message: string, more: Partial<Pick<ApiError, "fields" | "status" | "signInAgain">> = {}) {
    super(message);
    Object.assign(this, more);
  }

  static signedOut() {
    return new ApiError("You are signed out. Please sign in again.", { signInAgain: true });
  }

  static tokenRefused() {
    return new ApiError(
      "The API does not accept that you are signed in. Please sign in again. If that does not help, the API and the " +
        "server that signs you in are set up differently.",
      { status: 401, signInAgain: true },
    );
  }

  /** What a failed answer says: RFC 9457 if it comes from the API, anything if it comes from something in between. */
  static answered(status: number, body: unknown) {
    const { detail, errors = [] } = isProblem(body) ? body : { detail: `the API answered with status ${status}` };
    const fields = Object.fromEntries(errors.map(({ pointer, detail }) => [pointer.slice(1), detail]));
    return new ApiError(`${detail.charAt(0).toUpperCase()}${detail.slice(1)}.`, { status, fields });
  }

  /** Whatever was thrown on the way to the API and back. */
  static from(thrown: unknown) {
    return thrown instanceof ApiError ? thrown : new ApiError("The API cannot be reached. Please try again.");
  }
}

function isProblem(body: unknown): body is Problem {
  return typeof body === "object" && body !== null && "detail" in body;
}
