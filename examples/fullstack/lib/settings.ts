// Where the parts are. The browser learns the API's address from the page, so one build serves everywhere.

export const appUrl = process.env.BETTER_AUTH_URL ?? "http://localhost:3000";
export const apiUrl = process.env.TASKS_API_URL ?? "http://localhost:8000";
