import type { components } from "./api-schema";

type Problem = components["schemas"]["Problem"];

/** An error of the API, with a message for the user. */
export class ApiError extends Error {
  /** The errors of the form's fields, by name. */
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

  static tokenRejected() {
    return new ApiError(
      "The API does not accept that you are signed in. Please sign in again. If that does not help, the API and the " +
        "server that signs you in are set up differently.",
      { status: 401, signInAgain: true },
    );
  }

  /** From an error response: RFC 9457 if it comes from the API, anything if it comes from a proxy. */
  static fromResponse(status: number, body: unknown) {
    const { detail, errors = [] } = isProblem(body) ? body : { detail: `the API responded with status ${status}` };
    const fields = Object.fromEntries(errors.map(({ pointer, detail }) => [pointer.slice(1), detail]));
    return new ApiError(`${detail.charAt(0).toUpperCase()}${detail.slice(1)}.`, { status, fields });
  }

  /** From an error that was thrown by a request. */
  static from(thrown: unknown) {
    return thrown instanceof ApiError ? thrown : new ApiError("The API cannot be reached. Please try again.");
  }
}

function isProblem(body: unknown): body is Problem {
  return typeof body === "object" && body !== null && "detail" in body;
}
