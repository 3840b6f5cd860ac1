import { useState, type FormEvent } from "react";

import { Field } from "./field";
import { isDraft, type useTasks } from "./use-tasks";
import type { Task } from "@/lib/tasks-api";

type Actions = Pick<ReturnType<typeof useTasks>, "save" | "complete" | "remove">;

export function TaskRow({ task, save, complete, remove }: { task: Task } & Actions) {
  const [draft, setDraft] = useState<Draft>();
  const [wasEdited, setWasEdited] = useState(false);
  const { title, description, completed } = task;

  if (draft) {
    const close = () => {
      setDraft(undefined);
      setWasEdited(true);
    };
    const submit = async ({ title, description }: Draft) => {
      close();
      const failure = await save(task, { title, description: description || null });
      if (failure) setDraft({ title, description, errors: failure.fields });
    };
    return (
      <li>
        <TaskForm draft={draft} change={setDraft} submit={() => void submit(draft)} cancel={close} />
      </li>
    );
  }
  return (
    <li aria-busy={isDraft(task)}>
      <label>
        <input
          type="checkbox"
          checked={completed}
          disabled={isDraft(task)}
          onChange={({ target }) => void complete(task, target.checked)}
        />
        <span className={completed ? "done" : undefined}>{title}</span>
      </label>
      <div className="actions">
        <button
          disabled={isDraft(task)}
          onClick={() => setDraft({ title, description: description ?? "", errors: {} })}
          aria-label={`Edit ${title}`}
          // When the form closes, the focus returns to this button.
          autoFocus={wasEdited}
        >
          Edit
        </button>
        <button disabled={isDraft(task)} onClick={() => void remove(task)} aria-label={`Delete ${title}`}>
          Delete
        </button>
      </div>
      {description && <p className="quiet description">{description}</p>}
    </li>
  );
}

interface Draft {
  title: string;
  description: string;
  errors: Record<string, string>;
}

interface TaskFormProps {
  draft: Draft;
  change: (draft: Draft) => void;
  submit: () => void;
  cancel: () => void;
}

function TaskForm({ draft, change, submit, cancel }: TaskFormProps) {
  const onSubmit = (event: FormEvent) => {
    event.preventDefault();
    submit();
  };
  const field = (name: "title" | "description") => ({
    value: draft[name],
    error: draft.errors[name],
    onChange: (text: string) => change({ ...draft, [name]: text }),
  });
  return (
    <form className="edit-task" onSubmit={onSubmit} onKeyDown={({ key }) => key === "Escape" && cancel()}>
      <Field label="Title" {...field("title")} autoFocus autoComplete="off" />
      <Field label="Description" {...field("description")} autoComplete="off" />
      <div className="actions">
        <button className="primary">Save</button>
        <button type="button" onClick={cancel}>
          Cancel
        </button>
      </div>
    </form>
  );
}
