// The servers of the example as processes on loopback: Next.js with Better Auth, and tasks-api.

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
  /** Whether tokens are signed with that secret instead of Better Auth's key pairs. */
  sharedSecret: boolean;
  /** In Better Auth's format, such as "7d". */
  tokenLifetime?: string | undefined;
  /** The directory of both databases. */
  directory: string;
}

export interface Part {
  process: ChildProcess;
  /** Waits until it responds; fails if it exits before. */
  ready(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts the Next.js server, which must be built. */
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

/** Starts tasks-api: the program in TASKS_API, or the one in this repository. */
export function startApi({ appUrl, apiUrl, secret, sharedSecret, directory }: Settings, options: SpawnOptions): Part {
  const cargo = ["cargo", "run", "-q", "--manifest-path", join(here, "../../Cargo.toml"), "-p", "tasks-api", "--"];
  const [command = "", ...args] = process.env.TASKS_API ? [process.env.TASKS_API] : cargo;
  const issuer = sharedSecret
    ? { BETTER_AUTH_SECRET: secret, BETTER_AUTH_ISSUER: appUrl, BETTER_AUTH_AUDIENCE: appUrl }
    : { BETTER_AUTH_URL: appUrl };
  return start(command, [...args, "serve"], `${apiUrl}/readyz`, options, {
    ...issuer,
    TASKS_API_LISTEN: new URL(apiUrl).host,
    TASKS_API_CORS_ORIGINS: appUrl,
    TASKS_API_REQUIRE_SID: "true",
    DATABASE_URL: `sqlite://${join(directory, "tasks.db")}?mode=rwc`,
  });
}

/** Finds free ports on loopback. */
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

// The caller's own Better Auth settings must not affect these servers.
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
      throw new Error(`${command} exited before it was ready`);
    },
    async stop() {
      part.kill("SIGINT");
      await ended;
    },
  };
}
