// The parts of the example as processes on loopback: Next.js with Better Auth inside, and tasks-api.

import { spawn, type ChildProcess, type SpawnOptions } from "node:child_process";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";

const here = import.meta.dirname;

export interface Settings {
  appUrl: string;
  apiUrl: string;
  /** BETTER_AUTH_SECRET. */
  secret: string;
  /** Whether tokens are signed with that secret, rather than with keys of Better Auth's own. */
  sharedSecret: boolean;
  /** Better Auth's way to write times: "7d". */
  tokenLifetime?: string | undefined;
  /** Where both databases are. */
  directory: string;
}

export interface Part {
  process: ChildProcess;
  /** Until it answers; fails if it ends before. */
  ready(): Promise<void>;
  stop(): Promise<void>;
}

/** The Next.js server, built before. */
export function startApp(settings: Settings, options: SpawnOptions): Part {
  const { appUrl, apiUrl, secret, sharedSecret, tokenLifetime, directory } = settings;
  const next = join(here, "node_modules/next/dist/bin/next");
  const { hostname, port } = new URL(appUrl);
  return start(process.execPath, [next, "start", here, "-H", hostname, "-p", port], `${appUrl}/api/auth/ok`, options, {
    NODE_ENV: "production",
    NEXT_TELEMETRY_DISABLED: "1",
    BETTER_AUTH_URL: appUrl,
    BETTER_AUTH_SECRET: secret,
    TOKEN_SIGNING: sharedSecret ? "shared-secret" : "jwks",
    ...(tokenLifetime && { TOKEN_LIFETIME: tokenLifetime }),
    TASKS_API_URL: apiUrl,
    AUTH_DATABASE: join(directory, "auth.db"),
  });
}

/** tasks-api: the one that TASKS_API names, or the one of this repository. */
export function startApi({ appUrl, apiUrl, secret, sharedSecret, directory }: Settings, options: SpawnOptions): Part {
  const cargo = ["cargo", "run", "-q", "--manifest-path", join(here, "../../Cargo.toml"), "-p", "tasks-api", "--"];
  const [command = "", ...args] = process.env.TASKS_API ? [process.env.TASKS_API] : cargo;
  const trust = sharedSecret
    ? { BETTER_AUTH_SECRET: secret, BETTER_AUTH_ISSUER: appUrl, BETTER_AUTH_AUDIENCE: appUrl }
    : { BETTER_AUTH_URL: appUrl };
  return start(command, [...args, "serve"], `${apiUrl}/readyz`, options, {
    ...trust,
    TASKS_API_LISTEN: new URL(apiUrl).host,
    TASKS_API_CORS_ORIGINS: appUrl,
    TASKS_API_REQUIRE_SID: "true",
    DATABASE_URL: `sqlite://${join(directory, "tasks.db")}?mode=rwc`,
  });
}

/** As many ports of loopback as are asked for, each of them free a moment ago. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, "127.0.0.1");
      await once(server, "listening");
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return ports;
}

// What is set for the caller's own servers is not meant for these.
const { BETTER_AUTH_SECRET: _, BETTER_AUTH_SECRETS: __, BETTER_AUTH_URL: ___, ...inherited } = process.env;

function start(command: string, args: string[], url: string, options: SpawnOptions, env: Record<string, string>): Part {
  const part = spawn(command, args, { ...options, env: { ...inherited, ...env } });
  const ended = new Promise<void>((resolve) => part.once("exit", () => resolve()).once("error", () => resolve()));
  let hasEnded = false;
  void ended.then(() => (hasEnded = true));
  return {
    process: part,
    async ready() {
      while (!hasEnded) {
        if (
          await fetch(url).then(
            ({ ok }) => ok,
            () => false,
          )
        )
          return;
        await new Promise((resume) => setTimeout(resume, 100));
      }
      throw new Error(`${command} ended before it answered`);
    },
    async stop() {
      part.kill("SIGINT");
      await ended;
    },
  };
}
