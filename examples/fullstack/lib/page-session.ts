import { headers } from "next/headers";
import { redirect } from "next/navigation";

import { auth } from "./auth";

/** The session of whoever asks for a page; without one, the answer is the way to the sign-in page. */
export async function pageSession() {
  return (await currentSession()) ?? redirect("/sign-in");
}

/** For pages that make no sense to those who are signed in: the answer to them is the way to their tasks. */
export async function notSignedIn() {
  if (await currentSession()) redirect("/");
}

async function currentSession() {
  return auth.api.getSession({ headers: await headers() });
}
