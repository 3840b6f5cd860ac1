export type Show = "all" | "open" | "done";

/** Which tasks the list shows: the API's parameter, and the label. */
export const shows: Record<Show, { label: string; filter: { completed?: boolean }; empty: string }> = {
  all: { label: "All", filter: {}, empty: "Nothing to do yet. Add your first task above." },
  open: { label: "Open", filter: { completed: false }, empty: "Nothing left to do." },
  done: { label: "Done", filter: { completed: true }, empty: "Nothing is done yet." },
};

export function isShow(text: unknown): text is Show {
  return typeof text === "string" && Object.hasOwn(shows, text);
}
