import { headers } from "next/headers";
import { redirect } from "next/navigation";

import { auth } from "./auth";

/** The session of the request; without one, redirects to the sign-in page. */
export async function pageSession() {
  return (await currentSession()) ?? redirect("/sign-in");
}

/** For pages that signed-in users do not need: redirects them to their tasks. */
export async function notSignedIn() {
  if (await currentSession()) redirect("/");
}

async function currentSession() {
  return auth.api.getSession({ headers: await headers() });
}
