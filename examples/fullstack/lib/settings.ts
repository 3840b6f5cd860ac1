// The addresses. The browser gets the API's from the page, so one build works everywhere.

export const appUrl = process.env.BETTER_AUTH_URL ?? "http://localhost:3000";
export const apiUrl = process.env.TASKS_API_URL ?? "http://localhost:8000";
