// A Better Auth server on loopback, its clients, and the key-value store for `secondaryStorage`.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

import { betterAuth, type BetterAuthOptions, type BetterAuthPlugin } from "better-auth";
import { toNodeHandler } from "better-auth/node";
import { admin } from "better-auth/plugins";
import Database from "better-sqlite3";
import { decodeJwt, type JWTPayload } from "jose";

const { version } = JSON.parse(readFileSync("node_modules/better-auth/package.json", "utf8"));

/** The tested minor version of Better Auth 1. */
export const minor = Number(version.split(".")[1]);

export const storages: Record<string, Storage> = {
  "the database": {},
  "secondaryStorage only": { secondary: true },
  "secondaryStorage and the database": { secondary: true, session: { storeSessionInDatabase: true } },
  "secondaryStorage, preserved in the database": {
    secondary: true,
    session: { storeSessionInDatabase: true, preserveSessionInDatabase: true },
  },
};

export interface Storage {
  secondary?: boolean;
  session?: NonNullable<BetterAuthOptions["session"]>;
}

export interface IssuerSettings extends Storage {
  /** If a function, it is called with the issuer's URL. */
  plugins: BetterAuthPlugin[] | ((url: string) => Promise<BetterAuthPlugin[]>);
  /** Whether background tasks run in Better Auth's default way. `settled` cannot wait for them then. */
  defaultBackground?: boolean;
  hooks?: NonNullable<BetterAuthOptions["hooks"]>;
  generateId?: "serial";
}

export type Issuer = Awaited<ReturnType<typeof startIssuer>>;

export const secret = "a secret for tests alone, of more than 32 characters";
export const password = "correct horse battery";
let users = 0;

/** Runs functions after a test or a suite. */
export interface Lifetime {
  after(stop: () => void): void;
}

export async function startIssuer(test: Lifetime, settings: IssuerSettings) {
  let handler: ReturnType<typeof toNodeHandler> = async (_request, response) => void response.writeHead(503).end();
  const server = createServer((request, response) => void handler(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  test.after(() => {
    server.close();
    server.closeAllConnections();
  });

  const plugins = typeof settings.plugins === "function" ? await settings.plugins(url) : settings.plugins;
  const database = new Database(":memory:");
  test.after(() => void database.close());
  const entries = new KeyValueStore();
  const background = new Set<Promise<unknown>>();
  const logged: string[] = [];
  const resetTokens = new Map<string, string>();
  const options = {
    baseURL: url,
    secret,
    database: database as BetterAuthOptions["database"],
    ...(settings.secondary ? { secondaryStorage: entries } : {}),
    session: settings.session ?? {},
    plugins: [...plugins, admin()],
    hooks: settings.hooks ?? {},
    emailAndPassword: {
      enabled: true,
      revokeSessionsOnPasswordReset: true,
      // Real password hashing takes most of a test's time.
      password: {
        hash: async (text: string) => `hash of ${text}`,
        verify: async ({ hash, password }: { hash: string; password: string }) => hash === `hash of ${password}`,
      },
      sendResetPassword: async ({ user, token }: { user: { id: string }; token: string }) => {
        resetTokens.set(user.id, token);
      },
    },
    user: { deleteUser: { enabled: true } },
    rateLimit: { enabled: false },
    telemetry: { enabled: false },
    logger: { level: "error", log: (_level, ...message) => void logged.push(message.map(String).join(" ")) },
    advanced: {
      ...(settings.generateId ? { database: { generateId: settings.generateId } } : {}),
      ...(settings.defaultBackground ? {} : { backgroundTasks: { handler: (task) => void background.add(task) } }),
    },
  } satisfies BetterAuthOptions;
  const auth = betterAuth(options);
  await (await auth.$context).runMigrations();
  handler = toNodeHandler(auth);

  return {
    url,
    auth,
    entries,
    logged,
    resetTokens,

    /** The table exists only if sessions are stored in the database. */
    hasSessionTable: () => database.prepare("select 1 from sqlite_master where name = 'session'").get() !== undefined,

    sql: (statement: string, ...values: unknown[]) => void database.prepare(statement).run(...values),

    /** Waits until all background tasks have finished. */
    async settled() {
      for (const task of background) {
        await task;
        background.delete(task);
      }
    },

    /** Removes the ids from the sessions in `secondaryStorage`: Better Auth 1.4 stores them without. */
    removeIds: () =>
      entries.change((text) => {
        const value = JSON.parse(text);
        delete value.session?.id;
        return JSON.stringify(value);
      }),

    /** Ends all sessions of a user, like a script. */
    async deleteUserSessions(userId: string) {
      const { internalAdapter } = await auth.$context;
      const adapter = internalAdapter as unknown as Record<string, (userId: string) => Promise<void>>;
      await (adapter.deleteUserSessions ?? adapter.deleteSessions)?.(userId);
    },

    /** Signs up a new user, and returns the device. */
    async signUp(): Promise<Device> {
      const device = new Device(url, `user${++users}@example.com`);
      await device.post("/sign-up/email", { name: "Ada", email: device.email, password });
      return device;
    },

    async signUpAdmin(): Promise<Device> {
      const device = await this.signUp();
      this.sql(`update "user" set "role" = 'admin' where "email" = ?`, device.email);
      return signIn(device);
    },
  };
}

/** Signs in the same user on another device. */
export async function signIn({ url, email }: Device, body: object = {}): Promise<Device> {
  const device = new Device(url, email);
  await device.post("/sign-in/email", { email, password, ...body });
  return device;
}

/** A client with cookies, like a browser. */
export class Device {
  readonly cookies = new Map<string, string>();

  constructor(
    readonly url: string,
    readonly email: string,
  ) {}

  /** A device with a copy of the cookies. */
  copy(): Device {
    const copy = new Device(this.url, this.email);
    for (const [name, value] of this.cookies) copy.cookies.set(name, value);
    return copy;
  }

  async post(path: string, body: object = {}): Promise<any> {
    const response = await this.send("POST", path, JSON.stringify(body));
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return response.json();
  }

  async get(path: string): Promise<any> {
    return (await this.send("GET", path)).json();
  }

  async send(method: string, path: string, body?: string): Promise<Response> {
    const headers = { ...this.headers(), origin: this.url, "content-type": "application/json" };
    const response = await fetch(`${this.url}/api/auth${path}`, { method, headers, ...(body ? { body } : {}) });
    for (const line of response.headers.getSetCookie()) {
      const [, name, value, attributes] = /^([^=]+)=([^;]*)(.*)$/.exec(line) ?? [];
      if (!name) continue;
      if (!value || /max-age=0\b/i.test(attributes ?? "")) this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
    return response;
  }

  headers(): { cookie: string } {
    return { cookie: [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ") };
  }

  /** The claims of a new token. */
  async claims(): Promise<JWTPayload> {
    const response = await this.send("GET", "/token");
    if (!response.ok) throw new Error(`/token: ${response.status}`);
    return decodeJwt(((await response.json()) as { token: string }).token);
  }

  async sid(): Promise<string> {
    return String((await this.claims()).sid);
  }

  async sessionToken(): Promise<string> {
    return (await this.get("/get-session")).session.token;
  }

  async userId(): Promise<string> {
    return (await this.get("/get-session")).user.id;
  }
}

/** A key-value store like Redis. It drops expired entries only if `dropsExpired` is set. */
export class KeyValueStore {
  dropsExpired = false;
  readonly #entries = new Map<string, { value: string; until: number }>();

  async get(key: string): Promise<string | null> {
    const entry = this.#entries.get(key);
    return entry && !(this.dropsExpired && entry.until <= Date.now()) ? entry.value : null;
  }

  async set(key: string, value: string, ttl = Infinity): Promise<void> {
    this.#entries.set(key, { value, until: Date.now() + ttl * 1000 });
  }

  async delete(key: string): Promise<void> {
    this.#entries.delete(key);
  }

  change(change: (value: string) => string) {
    for (const entry of this.#entries.values()) entry.value = change(entry.value);
  }

  async getAndDelete(key: string): Promise<string | null> {
    const value = await this.get(key);
    this.#entries.delete(key);
    return value;
  }

  async increment(key: string, ttl: number): Promise<number> {
    const count = Number(await this.get(key)) + 1;
    await this.set(key, String(count), ttl);
    return count;
  }
}
