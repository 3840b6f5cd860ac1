import type { Metadata } from "next";

import { Header } from "../header";
import { Sessions } from "./sessions";
import { pageSession } from "@/lib/page-session";

export const metadata: Metadata = { title: "Sessions" };

export default async function SessionsPage() {
  const { user, session } = await pageSession();
  return (
    <>
      <Header email={user.email} current="/sessions" />
      <Sessions currentId={session.id} />
    </>
  );
}
