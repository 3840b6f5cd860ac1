// Starts the servers that `run` has built. Stops both on Ctrl-C, or when one of them exits.
// PORT and API_PORT are the ports, by default any free ones. DATA_DIRECTORY contains the databases.

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
  console.log(`\n  Open ${appUrl}\n\n  The API is at ${apiUrl}, its documentation at ${apiUrl}/docs. Ctrl-C stops both.\n`);
}
