import createClient from "openapi-fetch";

import { ApiError } from "./api-error";
import type { components, operations, paths } from "./api-schema";

export type Task = components["schemas"]["Task"];
export type ListQuery = NonNullable<operations["listTasks"]["parameters"]["query"]>;
export type TasksApi = ReturnType<typeof tasksApi>;

/** The tasks of one user. Every failure is an `ApiError`. */
export function tasksApi(baseUrl: string, userId: string, fetch: (request: Request) => Promise<Response>) {
  const { GET, POST, PUT, PATCH, DELETE } = createClient<paths>({ baseUrl, fetch });
  const list = { user_id: userId };
  const one = (id: string) => ({ path: { user_id: userId, id } });

  return {
    list: (query: ListQuery) => unwrap(GET("/api/{user_id}/tasks", { params: { path: list, query } })),
    add: (body: components["schemas"]["NewTask"]) =>
      unwrap(POST("/api/{user_id}/tasks", { params: { path: list }, body })),
    replace: (id: string, body: components["schemas"]["TaskReplacement"]) =>
      unwrap(PUT("/api/{user_id}/tasks/{id}", { params: one(id), body })),
    complete: (id: string, completed: boolean) =>
      unwrap(PATCH("/api/{user_id}/tasks/{id}/complete", { params: one(id), body: { completed } })),
    remove: (id: string) => unwrap(DELETE("/api/{user_id}/tasks/{id}", { params: one(id) })),
  };
}

async function unwrap<T>(call: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  try {
    const { data, error, response } = await call;
    if (!response.ok) throw ApiError.fromResponse(response.status, error);
    return data as T;
  } catch (thrown) {
    throw ApiError.from(thrown);
  }
}
