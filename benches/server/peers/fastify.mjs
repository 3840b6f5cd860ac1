// The same API on Fastify as in its documentation: schemas for requests and responses, jose, prepared statements.

import Database from "better-sqlite3";
import Fastify from "fastify";
import { createRemoteJWKSet, jwtVerify } from "jose";
import pg from "pg";
import { parse as uuidBytes, stringify as uuidText, v7 as uuid } from "uuid";

const { ISSUER, JWKS_URL, SECRET, SQLITE_FILE, POSTGRES_URL, PORT } = process.env;

const COLUMNS = "user_id, id, title, description, completed, created_at, updated_at";
const PAGE = `SELECT ${COLUMNS} FROM tasks WHERE user_id = ? ORDER BY id DESC LIMIT ?`;
const NEXT_PAGE = `SELECT ${COLUMNS} FROM tasks WHERE user_id = ? AND id < ? ORDER BY id DESC LIMIT ?`;
const READ = `SELECT ${COLUMNS} FROM tasks WHERE user_id = ? AND id = ?`;
const CREATE = `INSERT INTO tasks (user_id, id, title, description, completed, version, created_at, updated_at)
  VALUES (?, ?, ?, ?, false, 1, ?, ?) RETURNING ${COLUMNS}`;
const TOGGLE = `UPDATE tasks SET completed = NOT completed, version = version + 1, updated_at = ?
  WHERE user_id = ? AND id = ? RETURNING ${COLUMNS}`;

const time = (micros) => new Date(micros / 1000).toISOString().slice(0, 20) + String(micros % 1e6).padStart(6, "0") + "Z";
const now = () => Date.now() * 1000;

function sqlite(file) {
  const database = new Database(file);
  database.pragma("journal_mode = WAL");
  database.pragma("synchronous = NORMAL");
  const prepare = (sql) => database.prepare(sql);
  const [page, nextPage, read, create, toggle] = [PAGE, NEXT_PAGE, READ, CREATE, TOGGLE].map(prepare);
  const task = (row) =>
    row && {
      ...row,
      id: uuidText(row.id),
      completed: row.completed === 1,
      created_at: time(row.created_at),
      updated_at: time(row.updated_at),
    };
  return {
    page: (user, most) => page.all(user, most).map(task),
    nextPage: (user, cursor, most) => nextPage.all(user, uuidBytes(cursor), most).map(task),
    read: (user, id) => task(read.get(user, uuidBytes(id))),
    create: (user, id, title, description, at) => task(create.get(user, uuidBytes(id), title, description, at, at)),
    toggle: (user, id, at) => task(toggle.get(at, user, uuidBytes(id))),
  };
}

function postgres(url) {
  pg.types.setTypeParser(pg.types.builtins.INT8, Number);
  const pool = new pg.Pool({ connectionString: url, max: 10 });
  const task = (row) => row && { ...row, created_at: time(row.created_at), updated_at: time(row.updated_at) };
  // A named statement is prepared once for each connection.
  const run = (name, sql) => {
    let n = 0;
    const text = sql.replaceAll("?", () => `$${++n}`);
    return async (...values) => (await pool.query({ name, text, values })).rows.map(task);
  };
  const [page, nextPage] = [run("page", PAGE), run("next_page", NEXT_PAGE)];
  const [read, create, toggle] = [run("read", READ), run("create", CREATE), run("toggle", TOGGLE)];
  return {
    page,
    nextPage,
    read: async (user, id) => (await read(user, id))[0],
    create: async (user, id, title, description, at) => (await create(user, id, title, description, at, at))[0],
    toggle: async (user, id, at) => (await toggle(at, user, id))[0],
  };
}

const database = SQLITE_FILE ? sqlite(SQLITE_FILE) : postgres(POSTGRES_URL);
const keys = SECRET ? new TextEncoder().encode(SECRET) : createRemoteJWKSet(new URL(JWKS_URL));
const rules = { issuer: ISSUER, audience: ISSUER, algorithms: [SECRET ? "HS256" : "EdDSA"] };

const text = { type: "string" };
const task = {
  type: "object",
  properties: {
    id: text,
    user_id: text,
    title: text,
    description: { type: ["string", "null"] },
    completed: { type: "boolean" },
    created_at: text,
    updated_at: text,
  },
};
const page = {
  type: "object",
  properties: { items: { type: "array", items: task }, next_cursor: { type: ["string", "null"] } },
};
const list = {
  type: "object",
  properties: { limit: { type: "integer", minimum: 1, maximum: 100, default: 50 }, cursor: { type: "string", format: "uuid" } },
};
const newTask = {
  type: "object",
  required: ["title"],
  properties: {
    title: { type: "string", minLength: 1, maxLength: 200 },
    description: { type: ["string", "null"], maxLength: 2000, default: null },
  },
};
const params = { type: "object", properties: { user_id: text, id: { type: "string", format: "uuid" } } };

const app = Fastify();

app.addHook("onRequest", async (request, reply) => {
  const [scheme, token] = (request.headers.authorization ?? "").split(" ");
  if (scheme.toLowerCase() !== "bearer") return reply.code(401).send({ message: "a token is missing" });
  try {
    request.claims = (await jwtVerify(token, keys, rules)).payload;
  } catch {
    return reply.code(401).send({ message: "the token is not valid" });
  }
  if (request.claims.sub !== request.params.user_id) return reply.code(403).send({ message: "another user's tasks" });
});

app.get("/api/:user_id/tasks", { schema: { params, querystring: list, response: { 200: page } } }, async (request) => {
  const { user_id } = request.params;
  const { limit, cursor } = request.query;
  const tasks = await (cursor ? database.nextPage(user_id, cursor, limit + 1) : database.page(user_id, limit + 1));
  const items = tasks.slice(0, limit);
  return { items, next_cursor: tasks.length > limit ? items.at(-1).id : null };
});

app.post("/api/:user_id/tasks", { schema: { params, body: newTask, response: { 201: task } } }, async (request, reply) => {
  const { title, description } = request.body;
  reply.code(201);
  return database.create(request.params.user_id, uuid(), title, description, now());
});

app.get("/api/:user_id/tasks/:id", { schema: { params, response: { 200: task } } }, async (request, reply) => {
  const { user_id, id } = request.params;
  return (await database.read(user_id, id)) ?? reply.code(404).send({ message: "no such task" });
});

app.patch("/api/:user_id/tasks/:id/complete", { schema: { params, response: { 200: task } } }, async (request, reply) => {
  const { user_id, id } = request.params;
  return (await database.toggle(user_id, id, now())) ?? reply.code(404).send({ message: "no such task" });
});

await app.listen({ host: "127.0.0.1", port: Number(PORT) });
