// Ended sessions at a real API: the program `tasks-api` in TASKS_API.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test, type TestContext } from "node:test";

import { jwtWithLogout } from "better-auth-logout";
import { signIn, startIssuer, storages, type Device } from "./issuer.js";

const program = process.env.TASKS_API ?? "";
if (!program && process.env.CI) throw new Error("TASKS_API is not set");

for (const [name, storage] of Object.entries(storages)) {
  test(`tasks-api rejects the tokens of ended sessions: ${name}`, { skip: !program }, async (t) => {
    let api = "";
    const issuer = await startIssuer(t, {
      ...storage,
      plugins: async (url) => {
        api = await startTasksApi(t, url);
        return [jwtWithLogout({ logout: { url: `${api}/auth/backchannel-logout` } })];
      },
    });
    const phone = await issuer.signUp();
    const [laptop, tablet] = [await signIn(phone), await signIn(phone)];
    const [onPhone, onLaptop, onTablet] = [await request(phone), await request(laptop), await request(tablet)];
    assert.deepEqual([await onPhone(), await onLaptop(), await onTablet()], [200, 200, 200]);

    await laptop.post("/sign-out");
    await issuer.settled();
    assert.deepEqual([await onPhone(), await onLaptop(), await onTablet()], [200, 401, 200]);

    await phone.post("/revoke-other-sessions");
    await issuer.settled();
    assert.deepEqual([await onPhone(), await onTablet()], [200, 401]);

    const admin = await issuer.signUpAdmin();
    await admin.post("/admin/ban-user", { userId: await phone.userId() });
    await issuer.settled();
    assert.equal(await onPhone(), 401);
    assert.equal(await (await request(admin))(), 200);
    assert.deepEqual(issuer.logged, []);

    /** A function that repeats a request with the device's present token, and returns the status. */
    async function request(device: Device) {
      const { token } = await device.get("/token");
      const url = `${api}/api/${await device.userId()}/tasks`;
      return async () => (await fetch(url, { headers: { authorization: `Bearer ${token}` } })).status;
    }
  });
}

/** Starts the program on a free port, and returns its address. */
async function startTasksApi(test: TestContext, issuer: string): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), "tasks-api-"));
  const server = spawn(program, ["serve"], {
    stdio: ["ignore", "ignore", "pipe"],
    env: {
      BETTER_AUTH_URL: issuer,
      TASKS_API_LISTEN: "127.0.0.1:0",
      TASKS_API_REQUIRE_SID: "true",
      DATABASE_URL: `sqlite://${join(directory, "tasks.db")}?mode=rwc`,
    },
  });
  test.after(async () => {
    server.kill("SIGKILL");
    if (server.exitCode === null && server.signalCode === null) await once(server, "exit");
    rmSync(directory, { recursive: true });
  });
  const lines: string[] = [];
  for await (const line of createInterface(server.stderr)) {
    lines.push(line);
    const [, address] = / address="?([\d.:]+)/.exec(line) ?? [];
    if (!address) continue;
    server.stderr.resume();
    return `http://${address}`;
  }
  throw new Error(`tasks-api did not start:\n${lines.join("\n")}`);
}
