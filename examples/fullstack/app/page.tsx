import { Header } from "./header";
import { isShow } from "./show";
import { Tasks } from "./tasks";
import { pageSession } from "@/lib/page-session";
import { apiUrl } from "@/lib/settings";

export default async function TasksPage({ searchParams }: { searchParams: Promise<{ show?: unknown }> }) {
  const { user } = await pageSession();
  const { show } = await searchParams;
  const shown = isShow(show) ? show : "all";
  return (
    <>
      <Header email={user.email} current="/" />
      <Tasks key={`${user.id} ${shown}`} apiUrl={apiUrl} userId={user.id} show={shown} />
    </>
  );
}
