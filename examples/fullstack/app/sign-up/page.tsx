import type { Metadata } from "next";

import { Credentials } from "../credentials";
import { notSignedIn } from "@/lib/page-session";

export const metadata: Metadata = { title: "Sign up" };

export default async function SignUpPage() {
  await notSignedIn();
  return <Credentials purpose="sign-up" />;
}
