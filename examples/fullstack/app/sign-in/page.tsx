import type { Metadata } from "next";

import { Credentials } from "../credentials";
import { notSignedIn } from "@/lib/page-session";

export const metadata: Metadata = { title: "Sign in" };

export default async function SignInPage() {
  await notSignedIn();
  return <Credentials purpose="sign-in" />;
}
