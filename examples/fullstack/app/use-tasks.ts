import { useCallback, useEffect, useMemo, useRef, useState } from "react";

import { shows, type Show } from "./show";
import { ApiError } from "@/lib/api-error";
import { accessTokens } from "@/lib/auth-client";
import { authorizedFetch } from "@/lib/authorized-fetch";
import { tasksApi, type Task } from "@/lib/tasks-api";

const PAGE = 20;

type Edit = (tasks: Task[]) => Task[];

/** A user's tasks, newest first. Changes are shown immediately, and undone if the API rejects them. */
export function useTasks(apiUrl: string, userId: string, show: Show) {
  const api = useMemo(() => tasksApi(apiUrl, userId, authorizedFetch(accessTokens, userId)), [apiUrl, userId]);
  const { filter } = shows[show];
  const [tasks, setTasks] = useState<Task[]>([]);
  const [isLoaded, setLoaded] = useState(false);
  const [cursor, setCursor] = useState<string | null>(null);
  const [failure, setFailure] = useState<ApiError>();
  const [news, setNews] = useState("");
  const queue = useRef<Promise<unknown>>(Promise.resolve());

  const load = useCallback(
    async (cursor?: string) => {
      setFailure(undefined);
      try {
        const page = await api.list({ ...filter, limit: PAGE, ...(cursor && { cursor }) });
        // A task may have been added in the meantime.
        setTasks((tasks) => page.items.reduce((all, task) => put(task)(all), tasks));
        setLoaded(true);
        setCursor(page.next_cursor);
        if (cursor) setNews(`${page.items.length} more tasks`);
      } catch (error) {
        setFailure(ApiError.from(error));
      }
    },
    [api, filter],
  );
  useEffect(() => void load(), [load]);

  async function change(now: Edit, undo: Edit, request: () => Promise<Edit>, done: string, failed: string) {
    // If the list could not be loaded, the page continues to say so.
    if (isLoaded) setFailure(undefined);
    setTasks(now);
    // Requests are sent sequentially, so that the API receives changes in order.
    const response = queue.current.then(request);
    queue.current = response.catch(() => {});
    try {
      const settled = await response;
      setTasks(settled);
      setNews(done);
      return undefined;
    } catch (error) {
      const { message, ...more } = ApiError.from(error);
      const failure = new ApiError(`${failed} ${message}`, more);
      setTasks(undo);
      if (Object.keys(failure.fields).length === 0) setFailure(failure);
      return failure;
    }
  }

  return {
    tasks: isLoaded ? tasks.filter(({ completed }) => completed === (filter.completed ?? completed)) : undefined,
    failure,
    news,
    load: () => load(),
    loadMore: cursor === null ? undefined : () => load(cursor),

    add(title: string) {
      const draft = newTask(userId, title);
      return change(
        put(draft),
        without(draft),
        async () => replace(draft, await api.add({ title })),
        `Added ${quoted(draft)}.`,
        `${quoted(draft)} was not added.`,
      );
    },

    save(task: Task, text: Pick<Task, "title" | "description">) {
      return change(
        put({ ...task, ...text }),
        put(task),
        async () => put(await api.replace(task.id, { ...text, completed: task.completed })),
        `Saved ${quoted(text)}.`,
        `${quoted(task)} was not changed.`,
      );
    },

    complete(task: Task, completed: boolean) {
      return change(
        put({ ...task, completed }),
        put(task),
        async () => put(await api.complete(task.id, completed)),
        `${quoted(task)} is ${completed ? "done" : "open again"}.`,
        `${quoted(task)} was not changed.`,
      );
    },

    remove(task: Task) {
      return change(
        without(task),
        put(task),
        async () => (await api.remove(task.id), (tasks) => tasks),
        `Deleted ${quoted(task)}.`,
        `${quoted(task)} was not deleted.`,
      );
    },
  };
}

/** Whether the API has not responded to the change yet. */
export const isDraft = ({ id }: Task) => id.startsWith("new");

let drafts = 0;

function newTask(user_id: string, title: string): Task {
  const now = new Date().toISOString();
  // "n" comes after all hexadecimal digits, so a draft is newer than all tasks.
  const id = `new ${String(++drafts).padStart(9, "0")}`;
  return { id, user_id, title, description: null, completed: false, created_at: now, updated_at: now };
}

// Ids are UUIDv7: in the order of creation.
const put =
  (task: Task): Edit =>
  (tasks) =>
    [task, ...without(task)(tasks)].sort((a, b) => (a.id < b.id ? 1 : -1));

const without =
  ({ id }: Task): Edit =>
  (tasks) =>
    tasks.filter((task) => task.id !== id);

const replace =
  (draft: Task, task: Task): Edit =>
  (tasks) =>
    put(task)(without(draft)(tasks));

const quoted = ({ title }: Pick<Task, "title">) => `“${title}”`;
