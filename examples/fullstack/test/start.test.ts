import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";

import { freePorts } from "../stack";

test("the example starts, prints its URL, and stops both servers", { timeout: 60_000 }, async (t) => {
  const [port, apiPort] = await freePorts(2);
  const example = start(t, { PORT: `${port}`, API_PORT: `${apiPort}` });
  while (!example.output().includes(`Open http://127.0.0.1:${port}`)) await once(example.process.stdout, "data");
  assert.equal((await fetch(`http://127.0.0.1:${port}/sign-in`)).status, 200);
  assert.equal((await fetch(`http://127.0.0.1:${apiPort}/readyz`)).status, 200);

  example.process.kill("SIGINT");
  assert.deepEqual(await once(example.process, "exit"), [0, null]);
  await assert.rejects(fetch(`http://127.0.0.1:${port}/sign-in`));
  await assert.rejects(fetch(`http://127.0.0.1:${apiPort}/healthz`));
});

test("when one server exits, the other one is stopped", { timeout: 60_000 }, async (t) => {
  const [port] = await freePorts(1);
  const occupied = createServer().listen(0, "127.0.0.1");
  t.after(() => occupied.close());
  await once(occupied, "listening");
  const example = start(t, { PORT: `${port}`, API_PORT: `${(occupied.address() as AddressInfo).port}` });
  assert.deepEqual(await once(example.process, "exit"), [1, null]);
  assert.match(example.output(), /cannot listen on/);
  await assert.rejects(fetch(`http://127.0.0.1:${port}/sign-in`));
});

function start(t: TestContext, env: Record<string, string>) {
  const directory = mkdtempSync(join(tmpdir(), "fullstack-"));
  const secret = "a secret for tests alone, of more than 32 characters";
  const example = spawn(process.execPath, ["--import", "tsx", join(import.meta.dirname, "../start.ts")], {
    env: { ...process.env, ...env, DATA_DIRECTORY: directory, BETTER_AUTH_SECRET: secret },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [example.stdout, example.stderr]) stream.on("data", (text) => (output += text));
  t.after(() => {
    example.kill("SIGINT");
    rmSync(directory, { recursive: true });
  });
  return { process: example, output: () => output };
}
