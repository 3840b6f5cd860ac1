"use client";

import Link from "next/link";
import { useEffect, useRef, useState } from "react";

import { FailureNote } from "./failure";
import { Field } from "./field";
import { shows, type Show } from "./show";
import { TaskRow } from "./task-row";
import { useTasks } from "./use-tasks";

export function Tasks({ apiUrl, userId, show }: { apiUrl: string; userId: string; show: Show }) {
  const { tasks, failure, news, load, loadMore, add, ...act } = useTasks(apiUrl, userId, show);
  const list = useFocusKept<HTMLUListElement>(tasks?.length);
  return (
    <main>
      <h1>Tasks</h1>
      <NewTask add={add} />
      <nav className="filter" aria-label="Which tasks">
        {Object.entries(shows).map(([name, { label }]) => (
          <Link key={name} href={`/?show=${name}`} aria-current={name === show ? "true" : undefined}>
            {label}
          </Link>
        ))}
      </nav>
      <FailureNote failure={failure} retry={tasks ? undefined : load} />
      {!tasks && !failure && <p className="quiet">Loading…</p>}
      {tasks?.length === 0 && !loadMore && <p className="quiet empty">{shows[show].empty}</p>}
      <ul className="list" aria-label={`${shows[show].label} tasks`} ref={list}>
        {tasks?.map((task) => (
          <TaskRow key={task.id} task={task} {...act} />
        ))}
      </ul>
      {loadMore && <button onClick={loadMore}>Load more</button>}
      <p role="status" className="quiet">
        {news}
      </p>
    </main>
  );
}

function NewTask({ add }: Pick<ReturnType<typeof useTasks>, "add">) {
  const [error, setError] = useState<string>();
  const form = useRef<HTMLFormElement>(null);

  async function submit(title: string) {
    setError(undefined);
    const failure = await add(title);
    if (!failure) return;
    setError(failure.fields.title);
    // Keep text that was typed in the meantime.
    const field = form.current?.elements.namedItem("title");
    if (field instanceof HTMLInputElement) field.value ||= title;
  }

  // React clears the form, and also submits what was entered before the page was interactive.
  return (
    <form className="new-task" ref={form} action={(entered) => void submit(String(entered.get("title")))}>
      <Field label="New task" name="title" error={error} autoFocus autoComplete="off" />
      <button className="primary">Add</button>
    </form>
  );
}

/** When the focused row is removed, moves the focus to its neighbour instead of the top of the page. */
function useFocusKept<E extends HTMLElement>(rows: number | undefined) {
  const list = useRef<E>(null);
  const row = useRef(0);
  const before = useRef(0);

  useEffect(() => {
    const remember = () => {
      const item = document.activeElement?.closest("li");
      if (item) row.current = [...(list.current?.children ?? [])].indexOf(item);
    };
    const element = list.current;
    element?.addEventListener("focusin", remember);
    return () => element?.removeEventListener("focusin", remember);
  }, []);

  useEffect(() => {
    const fewer = (rows ?? 0) < before.current;
    before.current = rows ?? 0;
    if (!fewer || document.activeElement !== document.body) return;
    const neighbour = list.current?.children[Math.min(row.current, before.current - 1)];
    (neighbour?.querySelector("input") ?? document.querySelector<HTMLElement>(".new-task input"))?.focus();
  }, [rows]);

  return list;
}
