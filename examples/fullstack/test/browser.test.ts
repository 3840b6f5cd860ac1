import assert from "node:assert/strict";
import { join } from "node:path";
import { after, test } from "node:test";

import axe from "axe-core";
import { decodeJwt } from "jose";
import type { Page, Route } from "playwright-core";

import type { Task } from "../lib/tasks-api";
import { artifacts, closeBrowser, Device, needsBrowser, password, startStack, type Stack } from "./stack";

after(closeBrowser);

for (const sharedSecret of [false, true]) {
  test(
    `a task can be created, edited, completed and deleted, with ${sharedSecret ? "a shared secret" : "published keys"}`,
    needsBrowser,
    async (t) => {
      const stack = await startStack(t, { sharedSecret });
      const device = await Device.open(t, stack);
      const { page } = device;
      const begin = Date.now();

      await page.goto("/");
      await page.getByRole("link", { name: "Sign up" }).click();
      await page.getByLabel("Name").fill("Ada Lovelace");
      await page.getByLabel("Email").fill("ada@example.com");
      await page.getByLabel("Password").fill(password);
      await page.getByRole("button", { name: "Sign up" }).click();
      await page.getByText("Nothing to do yet.").waitFor();

      await device.add("Buy milk");
      await device.task("Buy milk").getByRole("button", { name: "Edit" }).click();
      await page.getByLabel("Title").fill("Buy oat milk");
      await page.getByLabel("Description").fill("Two litres");
      await page.getByRole("button", { name: "Save" }).click();
      await page.getByText("Saved “Buy oat milk”.").waitFor();
      await page.getByRole("checkbox", { name: "Buy oat milk" }).check();
      await page.getByText("“Buy oat milk” is done.").waitFor();

      await page.reload();
      await page.getByText("Two litres").waitFor();
      assert.equal(await page.getByRole("checkbox", { name: "Buy oat milk" }).isChecked(), true);
      await page.getByRole("link", { name: "Open" }).click();
      await page.getByText("Nothing left to do.").waitFor();
      await page.getByRole("link", { name: "Done" }).click();
      await page.getByRole("button", { name: "Delete Buy oat milk" }).click();
      await page.getByText("Deleted “Buy oat milk”.").waitFor();
      await page.getByText("Nothing is done yet.").waitFor();

      await page.getByRole("button", { name: "Sign out" }).click();
      await page.getByRole("heading", { name: "Sign in" }).waitFor();
      await page.goto("/");
      assert.equal(new URL(page.url()).pathname, "/sign-in");
      assert.ok(Date.now() - begin < 30_000, `it took ${Date.now() - begin} ms`);
      assert.deepEqual(new Set(await device.statuses()), new Set([200, 201, 204]));
      t.diagnostic(`${Date.now() - begin} ms`);
    },
  );
}

test("one API", needsBrowser, async (t) => {
  const stack = await startStack(t);
  const { appUrl, apiUrl } = stack.settings;

  await t.test("users cannot access each other's tasks", async (t) => {
    const [ada, bob] = [await Device.open(t, stack), await Device.open(t, stack)];
    await ada.signUp();
    await ada.add("Ada's secret");
    const adasTask = (await (await ada.apiRequests.at(-1)?.response())?.json()) as Task;
    await bob.signUp();
    await bob.page.getByText("Nothing to do yet.").waitFor();

    // The page, modified to request Ada's tasks.
    const bobsId = String(decodeJwt(await bob.token()).sub);
    await bob.page.route(`${apiUrl}/**`, (route) => {
      void route.continue({ url: route.request().url().replace(bobsId, adasTask.user_id) });
    });
    await bob.page.reload();
    await bob.page.getByText("Access denied.").waitFor();
    assert.equal(await bob.page.getByText("Ada's secret").count(), 0);
    await bob.page.unroute(`${apiUrl}/**`);

    const headers = { authorization: `Bearer ${await bob.token()}` };
    for (const [path, status] of [
      [`/api/${adasTask.user_id}/tasks`, 403],
      [`/api/${adasTask.user_id}/tasks/${adasTask.id}`, 403],
      [`/api/${bobsId}/tasks/${adasTask.id}`, 404],
      [`/api/${bobsId}/tasks`, 200],
    ] as const) {
      const fetched = await bob.page.evaluate(
        async ([url, init]) => {
          const response = await fetch(url, init);
          return { status: response.status, text: await response.text() };
        },
        [apiUrl + path, { headers }] as const,
      );
      assert.equal(fetched.status, status, path);
      assert.ok(!fetched.text.includes("secret"), path);
    }
    await bob.page.reload();
    await bob.page.getByText("Nothing to do yet.").waitFor();
  });

  await t.test("a page does not send the token of another user who signs in", async (t) => {
    const device = await Device.open(t, stack);
    await device.signUp();
    await device.add("Mine");
    const [request] = device.apiRequests;
    await device.context.clearCookies();
    await device.page.request.post("/api/auth/sign-up/email", {
      data: { name: "Bob", email: "bob@example.com", password },
      headers: { origin: appUrl, "x-forwarded-for": "198.51.100.1" },
    });
    // The page may continue until its token expires; it must not send the other user's token then.
    await device.page.clock.install();
    await device.page.clock.fastForward("15:00");
    await device.page.getByRole("checkbox", { name: "Mine" }).click();
    await device.page.getByText("“Mine” was not changed. You are signed out.").waitFor();
    assert.deepEqual(device.tokensSent(), [request?.headers().authorization?.replace("Bearer ", "")]);
  });

  await t.test("errors are shown beside the fields, and the input is kept", async (t) => {
    const device = await Device.open(t, stack);
    const { page } = device;
    await device.signUp();
    const title = page.getByLabel("New task");
    await title.fill("x".repeat(201));
    await page.getByRole("button", { name: "Add", exact: true }).click();
    await page.getByText("New task must be at most 200 characters long").waitFor();
    assert.equal(await title.getAttribute("aria-invalid"), "true");
    assert.equal((await title.inputValue()).length, 201);
    assert.equal(await device.tasks().count(), 0);

    await device.add("Short");
    await page.getByRole("button", { name: "Edit Short" }).click();
    await page.getByLabel("Title").fill(" ");
    await page.getByLabel("Description").fill("x".repeat(2001));
    await page.keyboard.press("Enter");
    await page.getByText("Title must not be empty").waitFor();
    await page.getByText("Description must be at most 2000 characters long").waitFor();
    await page.keyboard.press("Escape");
    await device.task("Short").waitFor();
  });

  await t.test("a task can be added while the list is loading", async (t) => {
    const device = await Device.open(t, stack);
    const { page } = device;
    await device.signUp();
    await device.add("Old");
    const field = page.getByLabel("New task");
    const lists: Route[] = [];
    await page.route(`${apiUrl}/**`, (route) =>
      route.request().method() === "GET" ? void lists.push(route) : route.continue(),
    );
    await page.reload();
    while (!lists[0]) await page.waitForTimeout(10);

    await field.fill("New");
    await field.press("Enter");
    await page.getByText("Added “New”.").waitFor();
    assert.equal(await field.inputValue(), "");
    await page.getByText("Loading…").waitFor();
    // This list was requested before the task was added.
    const response = await lists[0].fetch();
    const { items, ...more } = await response.json();
    await lists[0].fulfill({ response, json: { ...more, items: items.filter(({ title }: Task) => title === "Old") } });
    await device.task("Old").waitFor();
    assert.deepEqual(await device.tasks().locator("label").allTextContents(), ["New", "Old"]);
  });

  await t.test("a task can be added before the page is interactive", async (t) => {
    const device = await Device.open(t, stack);
    const { page } = device;
    await device.signUp();
    let arrive = () => {};
    const arrival = new Promise<void>((resolve) => (arrive = resolve));
    await page.route("**/*.js", async (route) => {
      await arrival;
      await route.continue();
    });
    await page.reload({ waitUntil: "commit" });
    const field = page.getByLabel("New task");
    await field.fill("Early");
    await field.press("Enter");
    arrive();
    await device.task("Early").waitFor();
    assert.equal(await field.inputValue(), "");
  });

  await t.test("if the list cannot be loaded, a task can be added and the list be loaded again", async (t) => {
    const device = await Device.open(t, stack);
    const { page } = device;
    await device.signUp();
    await page.route(`${apiUrl}/**`, (route) => (route.request().method() === "GET" ? route.abort() : route.continue()));
    await page.reload();
    await page.getByText("The API cannot be reached").waitFor();
    await page.getByLabel("New task").fill("Kept");
    await page.getByLabel("New task").press("Enter");
    await page.getByText("Added “Kept”.").waitFor();
    await page.unroute(`${apiUrl}/**`);
    await page.getByRole("button", { name: "Try again" }).click();
    await device.task("Kept").waitFor();
  });

  await t.test("changes are shown before the API responds, and undone if it rejects them", async (t) => {
    const device = await Device.open(t, stack);
    const { page } = device;
    await device.signUp();
    await device.add("Stay");
    const pending: (() => Promise<void>)[] = [];
    const headers = { "access-control-allow-origin": appUrl };
    await page.route(`${apiUrl}/**`, (route) => {
      pending.push(() => route.fulfill({ status: 503, json: problem, headers }));
    });
    const reject = async (message: string) => {
      while (!pending.length) await page.waitForTimeout(10);
      await pending.shift()?.();
      await page.getByText(message).waitFor();
    };

    await device.add("Go");
    await reject("“Go” was not added. The service cannot answer right now;");
    assert.equal(await device.task("Go").count(), 0);
    assert.equal(await page.getByLabel("New task").inputValue(), "Go");

    const checkbox = page.getByRole("checkbox", { name: "Stay" });
    await checkbox.click();
    assert.equal(await checkbox.isChecked(), true);
    await reject("“Stay” was not changed.");
    assert.equal(await checkbox.isChecked(), false);

    await page.getByRole("button", { name: "Delete Stay" }).click();
    await device.task("Stay").waitFor({ state: "detached" });
    await reject("“Stay” was not deleted.");
    await device.task("Stay").waitFor();
  });

  await t.test("a long list is loaded page by page, newest first", async (t) => {
    const device = await Device.open(t, stack);
    const { page } = device;
    await device.signUp();
    const headers = { authorization: `Bearer ${await device.token()}` };
    const { sub } = decodeJwt(await device.token());
    const address = `${apiUrl}/api/${sub}/tasks`;
    for (let i = 1; i <= 45; i++) await page.request.post(address, { headers, data: { title: `Task ${i}` } });
    await page.reload();
    for (const shown of [20, 40, 45]) {
      await device
        .tasks()
        .nth(shown - 1)
        .waitFor();
      assert.equal(await device.tasks().count(), shown);
      if (shown < 45) await page.getByRole("button", { name: "Load more" }).click();
    }
    await page.getByText("5 more tasks").waitFor();
    assert.equal(await page.getByRole("button", { name: "Load more" }).count(), 0);
    const titles = await device.tasks().locator("label").allTextContents();
    assert.deepEqual(
      titles,
      Array.from({ length: 45 }, (_, i) => `Task ${45 - i}`),
    );
  });

  await t.test("the page can be used with the keyboard, and the focus is never lost", async (t) => {
    const device = await Device.open(t, stack);
    const { page } = device;
    const { keyboard } = page;
    const focused = () => page.evaluate(() => document.activeElement?.ariaLabel ?? document.activeElement?.tagName);
    const press = async (...keys: string[]) => {
      for (const key of keys) await keyboard.press(key);
    };
    await device.signUp();
    await page.getByText("Nothing to do yet.").waitFor();

    for (const title of ["One", "Two", "Three"]) {
      await keyboard.type(title);
      await press("Enter");
      await page.getByText(`Added “${title}”.`).waitFor();
    }
    // Tab over the button and three filters to the first task.
    await press("Tab", "Tab", "Tab", "Tab", "Tab", "Space");
    await page.getByText("“Three” is done.").waitFor();
    await press("Tab", "Enter");
    await keyboard.type("!");
    await press("Enter");
    await page.getByText("Saved").waitFor();
    assert.equal(await focused(), "Edit Three!");
    await press("Enter");
    await press("Escape");
    assert.equal(await focused(), "Edit Three!");
    await press("Tab", "Enter");
    await page.getByText("Deleted “Three!”.").waitFor();
    assert.equal(await focused(), "INPUT");
    await press("Space");
    await page.getByText("“Two” is done.").waitFor();
  });

  await t.test("the page recovers when the API is unavailable", async (t) => {
    const device = await Device.open(t, stack);
    const { page } = device;
    await device.signUp();
    await device.add("Before");

    await stack.api.stop();
    await page.getByRole("checkbox", { name: "Before" }).click();
    await page.getByText("“Before” was not changed. The API cannot be reached. Please try again.").waitFor();
    assert.equal(await page.getByRole("checkbox", { name: "Before" }).isChecked(), false);
    await page.reload();
    await page.getByText("The API cannot be reached.").waitFor();
    await page.screenshot({ path: join(artifacts, "api-down.png") });

    await stack.startApi();
    await page.getByRole("button", { name: "Try again" }).click();
    await device.task("Before").waitFor();
    await device.add("After");
  });

  await t.test("sessions can be listed and ended individually", async (t) => {
    const laptop = await Device.open(t, stack);
    const userAgent = "Mozilla/5.0 (Android 16; Mobile; rv:150.0) Gecko/150.0 Firefox/150.0";
    const phone = await Device.open(t, stack, { userAgent });
    await phone.signIn(await laptop.signUp());
    await phone.add("From the phone");
    await laptop.page.goto("/sessions");
    const sessions = laptop.page.getByRole("list", { name: "Sessions" }).getByRole("listitem");
    await sessions.nth(1).waitFor();
    assert.match((await sessions.allTextContents()).join(), /Chrome on Linux This device.*,Firefox on Android/);
    await laptop.page.screenshot({ path: join(artifacts, "two-sessions.png") });

    const phonesToken = await phone.token();
    await laptop.page.getByRole("button", { name: "End the session on Firefox on Android" }).click();
    await laptop.page.getByText("The session has ended.").waitFor();
    assert.equal(await sessions.count(), 1);
    await untilRejected(stack, phonesToken);
    await phone.page.getByRole("checkbox", { name: "From the phone" }).click();
    await phone.page.getByText("“From the phone” was not changed. You are signed out.").waitFor();
    await phone.page.getByRole("button", { name: "Sign in again" }).click();
    await phone.page.getByRole("heading", { name: "Sign in" }).waitFor();
    await laptop.page.goto("/");
    await laptop.task("From the phone").waitFor();
  });

  await t.test("signing out invalidates the tokens of that session only", async (t) => {
    const [laptop, phone] = [await Device.open(t, stack), await Device.open(t, stack)];
    await phone.signIn(await laptop.signUp());
    const [laptopsToken, phonesToken] = [await laptop.token(), await phone.token()];
    assert.deepEqual([await listing(stack, laptopsToken), await listing(stack, phonesToken)], [200, 200]);

    await laptop.page.getByRole("button", { name: "Sign out" }).click();
    await laptop.page.getByRole("heading", { name: "Sign in" }).waitFor();
    await untilRejected(stack, laptopsToken);
    assert.equal(await listing(stack, phonesToken), 200);
    await phone.add("Still here");
    await phone.page.getByText("Added “Still here”.").waitFor();
    assert.equal((await phone.statuses()).includes(401), false);
  });

  await t.test("the page continues with a new session that replaces the old one", async (t) => {
    const device = await Device.open(t, stack);
    await device.signUp();
    await device.add("Before");
    const [before = ""] = device.tokensSent();
    const change = { currentPassword: password, newPassword: `${password}!`, revokeOtherSessions: true };
    const headers = { origin: appUrl };
    const changed = await device.page.request.post("/api/auth/change-password", { data: change, headers });
    assert.equal(changed.status(), 200);
    await untilRejected(stack, before);
    await device.add("After");
    await device.page.getByText("Added “After”.").waitFor();
    assert.deepEqual((await device.statuses()).slice(-2), [401, 201]);
  });
});

test("short-lived tokens are renewed before they expire", needsBrowser, async (t) => {
  const device = await Device.open(t, await startStack(t, { tokenLifetime: "4s" }));
  const { page } = device;
  await device.signUp();
  await device.add("Count to three");
  const checkbox = page.getByRole("checkbox", { name: "Count to three" });
  for (let round = 0; round < 8; round++) {
    await checkbox.click();
    await page.getByText(round % 2 ? "open again" : "is done").waitFor();
    await page.waitForTimeout(1000);
  }
  assert.ok(device.tokensSent().length >= 3, `${device.tokensSent().length} tokens`);
  assert.deepEqual(new Set(await device.statuses()), new Set([200, 201]));
  for (const request of device.apiRequests) {
    const { exp = 0 } = decodeJwt(request.headers().authorization?.replace("Bearer ", "") ?? "");
    assert.ok(request.timing().startTime < exp * 1000, "an expired token was sent");
  }
});

test("if the secrets differ, the page shows an error", needsBrowser, async (t) => {
  const apiSecret = "another secret for tests, of more than 32 characters";
  const stack = await startStack(t, { sharedSecret: true, apiSecret });
  const device = await Device.open(t, stack);
  const { page } = device;
  await device.signUp();
  await page.getByText("The API does not accept that you are signed in.").waitFor();
  await page.screenshot({ path: join(artifacts, "secrets-differ.png") });
  assert.deepEqual(await device.statuses(), [401, 401]);
  await page.getByRole("button", { name: "Sign in again" }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
});

test("the pages are accessible according to axe, and pictures for the README", needsBrowser, async (t) => {
  const stack = await startStack(t);
  for (const colorScheme of ["light", "dark"] as const) {
    const device = await Device.open(t, stack, {
      colorScheme,
      viewport: { width: 820, height: 600 },
      deviceScaleFactor: 2,
    });
    const { page } = device;
    await page.goto("/sign-in");
    await audit(page);
    await page.screenshot({ path: join(artifacts, `sign-in-${colorScheme}.png`) });
    await device.signUp(`ada-${colorScheme}@example.com`);
    await page.getByText("Nothing to do yet.").waitFor();
    await audit(page);
    const titles = ["Call Charles about the Engine", "Water the plants", "Post the letter", "Buy oat milk"];
    for (const title of titles) await device.add(title);
    await page.getByRole("button", { name: "Edit Call Charles" }).click();
    await page.getByLabel("Description").fill("He wants to know how it counts Bernoulli's numbers");
    await audit(page);
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("Saved").waitFor();
    await page.getByRole("checkbox", { name: "Water the plants" }).check();
    await page.getByText("is done").waitFor();
    await page.getByRole("button", { name: "Edit Post the letter" }).click();
    await page.screenshot({ path: join(artifacts, `edit-${colorScheme}.png`) });
    await page.keyboard.press("Escape");
    await page.getByLabel("New task").focus();
    await audit(page);
    await page.mouse.move(0, 0);
    await page.evaluate(() => scrollTo(0, 0));
    await page.screenshot({ path: join(artifacts, `tasks-${colorScheme}.png`) });
    await page.getByRole("link", { name: "Sessions" }).click();
    await page.getByText("This device").waitFor();
    await audit(page);
    await page.screenshot({ path: join(artifacts, `sessions-${colorScheme}.png`) });
  }
});

/** The API's status for this token. */
async function listing({ settings }: Stack, token: string) {
  const headers = { authorization: `Bearer ${token}` };
  return (await fetch(`${settings.apiUrl}/api/${decodeJwt(token).sub}/tasks`, { headers })).status;
}

/** Waits until the API rejects the token of a session that has ended. */
async function untilRejected(stack: Stack, token: string) {
  const begin = Date.now();
  while ((await listing(stack, token)) !== 401) assert.ok(Date.now() - begin < 1000, "still accepted after a second");
}

const problem = { detail: "the service cannot answer right now; try again shortly" };

async function audit(page: Page) {
  await page.addScriptTag({ content: axe.source });
  const { violations } = await page.evaluate(() => (window as unknown as { axe: typeof axe }).axe.run());
  assert.deepEqual(
    violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]),
    [],
  );
}
