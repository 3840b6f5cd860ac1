import { jwtClient } from "better-auth/client/plugins";
import { createAuthClient } from "better-auth/react";

import { ApiError } from "./api-error";
import { AccessTokens } from "./access-tokens";

export const authClient = createAuthClient({ plugins: [jwtClient()], fetchOptions: { timeout: 10_000 } });

/** The tokens of this page, kept in memory only. */
export const accessTokens = new AccessTokens(async () => {
  const { data, error } = await authClient.token().catch(() => ({ data: null, error: undefined }));
  if (data) return data.token;
  if (error?.status === 401) throw ApiError.signedOut();
  throw new ApiError("The server that signs you in cannot be reached. Please try again.");
});

export async function signOut() {
  accessTokens.clear();
  await authClient.signOut();
  // Loads a new page, so that no data of this user stays in memory.
  location.assign("/sign-in");
}
