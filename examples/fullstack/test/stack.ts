// The example under test: its processes, and browsers.

import assert from "node:assert/strict";
import { execFileSync, type SpawnOptions } from "node:child_process";
import { createWriteStream, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";

import { chromium, type Browser, type BrowserContext, type BrowserContextOptions } from "playwright-core";
import type { Page, Request } from "playwright-core";

import { freePorts, startApi, startApp, type Part, type Settings } from "../stack";

// In tests, `assert.ok` always has a message. Without one it parses the source that tsx generates, which takes minutes.

/** The directory for screenshots and logs. */
export const artifacts = join(import.meta.dirname, "../screenshots");
mkdirSync(artifacts, { recursive: true });

const executablePath = ["chromium", "chromium-browser", "google-chrome"].map(inPath).find(Boolean);
if (!executablePath && process.env.CI) throw new Error("no Chromium is installed");

/** For `test()`: without a browser, tests are skipped with a message. */
export const needsBrowser = { skip: executablePath ? false : "no Chromium is installed", timeout: 120_000 };

export interface Stack {
  settings: Settings;
  api: Part;
  startApi(): Promise<void>;
}

export async function startStack(
  test: TestContext,
  { apiSecret, ...given }: Partial<Settings> & { apiSecret?: string } = {},
): Promise<Stack> {
  const directory = mkdtempSync(join(tmpdir(), "fullstack-"));
  const [port, apiPort] = await freePorts(2);
  const settings: Settings = {
    appUrl: `http://127.0.0.1:${port}`,
    apiUrl: `http://127.0.0.1:${apiPort}`,
    secret: "a secret for tests alone, of more than 32 characters",
    sharedSecret: false,
    directory,
    ...given,
  };
  const logFile = createWriteStream(join(artifacts, `${fileName(test)}.log`));
  await new Promise((opened) => logFile.once("open", opened));
  const options: SpawnOptions = { stdio: ["ignore", logFile, logFile] };
  const start = () => startApi({ ...settings, secret: apiSecret ?? settings.secret }, options);
  const app = startApp(settings, options);
  const stack = {
    settings,
    api: start(),
    async startApi() {
      stack.api = start();
      await stack.api.ready();
    },
  };
  test.after(async () => {
    await Promise.all([app.stop(), stack.api.stop()]);
    rmSync(directory, { recursive: true });
  });
  await Promise.all([app.ready(), stack.api.ready()]);
  return stack;
}

let browser: Promise<Browser> | undefined;

export const closeBrowser = async () => (await browser)?.close();

export const password = "correct horse battery";
let devices = 0;

/** A separate browser, with its own cookies, storage and memory. */
export class Device {
  /** The requests from this browser to the API, without preflights. */
  readonly apiRequests: Request[] = [];
  readonly #errors: Error[] = [];

  private constructor(
    readonly stack: Stack,
    readonly context: BrowserContext,
    readonly page: Page,
  ) {
    context.on("request", (request) => {
      if (request.url().startsWith(stack.settings.apiUrl)) this.apiRequests.push(request);
    });
    page.on("pageerror", (error) => this.#errors.push(error));
  }

  /** At the end of the test, all requests to the API must have had a token, and no token may be stored. */
  static async open(test: TestContext, stack: Stack, options: BrowserContextOptions = {}) {
    browser ??= chromium.launch({ executablePath: executablePath!, args: ["--no-sandbox"] });
    const context = await (await browser).newContext({ baseURL: stack.settings.appUrl, ...options });
    context.setDefaultTimeout(10_000);
    const device = new Device(stack, context, await context.newPage());
    test.after(async () => {
      await device.page.screenshot({ path: join(artifacts, `${fileName(test)}, at the end.png`) });
      await device.check().finally(() => context.close());
    });
    return device;
  }

  /** Signs up a new user at Better Auth directly, without the form. */
  async signUp(email = `user${++devices}@example.com`) {
    await this.#enter("/api/auth/sign-up/email", { name: "Ada Lovelace", email, password });
    return email;
  }

  async signIn(email: string) {
    await this.#enter("/api/auth/sign-in/email", { email, password });
  }

  async #enter(path: string, data: object) {
    // Better Auth limits the rate of sign-ins per address; each device has another address here.
    const headers = { origin: this.stack.settings.appUrl, "x-forwarded-for": `192.0.2.${++devices}` };
    const response = await this.page.request.post(path, { data, headers });
    assert.ok(response.ok(), await response.text());
    await this.page.goto("/");
  }

  tasks() {
    return this.page.getByRole("list", { name: "tasks" }).getByRole("listitem");
  }

  task(title: string) {
    return this.tasks().filter({ has: this.page.getByText(title, { exact: true }) });
  }

  async add(title: string) {
    await this.page.getByLabel("New task").fill(title);
    await this.page.getByRole("button", { name: "Add", exact: true }).click();
    await this.task(title).waitFor();
  }

  /** A token, fetched like the page does it. */
  async token(): Promise<string> {
    return (await (await this.page.request.get("/api/auth/token")).json()).token;
  }

  /** Tokens in the order in which they were first sent. */
  tokensSent() {
    return [...new Set(this.apiRequests.map((request) => request.headers().authorization?.replace("Bearer ", "")))];
  }

  /** The statuses of the API's responses so far. */
  async statuses() {
    const responses = await Promise.all(this.apiRequests.map((request) => request.response()));
    return responses.map((response) => response?.status());
  }

  async check() {
    for (const request of this.apiRequests) {
      const { authorization = "", cookie } = request.headers();
      assert.match(authorization, /^Bearer eyJ[\w-]+\.[\w-]+\.[\w-]+$/, `${request.method()} ${request.url()}`);
      assert.equal(cookie, undefined, "a cookie was sent to the API");
    }
    assert.deepEqual(this.#errors, []);
    const { origins } = await this.context.storageState();
    assert.deepEqual(origins, [], "something is in localStorage");
    const html = await this.page.content();
    assert.ok(!/eyJ[\w-]+\.eyJ/.test(html), "a token is in the page");
  }
}

const fileName = ({ name }: TestContext) => name.replaceAll(/[^\w, ]/g, "");

function inPath(program: string) {
  try {
    return execFileSync("which", [program], { encoding: "utf8" }).trim();
  } catch {
    return undefined;
  }
}
