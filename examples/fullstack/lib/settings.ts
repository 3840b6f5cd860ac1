// The URLs of both servers. The page passes the API's to the browser, so one build works everywhere.

export const appUrl = process.env.BETTER_AUTH_URL ?? "http://localhost:3000";
export const apiUrl = process.env.TASKS_API_URL ?? "http://localhost:8000";
