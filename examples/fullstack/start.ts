// Starts what `run` has built, and stops it as a whole: on Ctrl-C, or when a part of it ends.
// PORT and API_PORT name ports, otherwise any free ones are taken; DATA_DIRECTORY is where the databases are.

import { join } from "node:path";
import { parseArgs } from "node:util";

import { freePorts, startApi, startApp, type Settings } from "./stack";

const { values: flags } = parseArgs({ options: { "shared-secret": { type: "boolean", default: false } } });
const { PORT, API_PORT, TOKEN_LIFETIME, DATA_DIRECTORY, BETTER_AUTH_SECRET: secret } = process.env;
if (!secret) throw new Error("BETTER_AUTH_SECRET is not set");
const [port, apiPort] = await freePorts(2);
const settings: Settings = {
  appUrl: `http://127.0.0.1:${PORT ?? port}`,
  apiUrl: `http://127.0.0.1:${API_PORT ?? apiPort}`,
  secret,
  sharedSecret: flags["shared-secret"],
  tokenLifetime: TOKEN_LIFETIME,
  directory: DATA_DIRECTORY ?? join(import.meta.dirname, "data"),
};

const parts = [startApi(settings, { stdio: "inherit" }), startApp(settings, { stdio: "inherit" })];
let stopping: Promise<void> | undefined;
const stop = (code: number) => {
  stopping ??= Promise.all(parts.map((part) => part.stop())).then(() => process.exit(code));
};
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => stop(0));
for (const part of parts) part.process.once("exit", () => stop(1)).once("error", () => stop(1));

await Promise.all(parts.map((part) => part.ready())).catch(() => stop(1));
if (!stopping) {
  const { appUrl, apiUrl } = settings;
  console.log(`\n  Open ${appUrl}\n\n  The API is at ${apiUrl}, described at ${apiUrl}/docs. Ctrl-C stops both.\n`);
}
