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

// SQLite has no type for times: they are text, which responses contain as it is.
function sqlite(file) {
  const database = new Database(file);
  database.pragma("journal_mode = WAL");
  database.pragma("synchronous = NORMAL");
  const prepare = (sql) => database.prepare(sql);
  const [page, nextPage, read, create, toggle] = [PAGE, NEXT_PAGE, READ, CREATE, TOGGLE].map(prepare);
  const task = (row) => row && { ...row, id: uuidText(row.id), completed: row.completed === 1 };
  const now = () => new Date().toISOString();
  return {
    page: (user, most) => page.all(user, most).map(task),
    nextPage: (user, cursor, most) => nextPage.all(user, uuidBytes(cursor), most).map(task),
    read: (user, id) => task(read.get(user, uuidBytes(id))),
    create: (user, id, title, description) => {
      const at = now();
      return task(create.get(user, uuidBytes(id), title, description, at, at));
    },
    toggle: (user, id) => task(toggle.get(now(), user, uuidBytes(id))),
  };
}

// pg converts times from and to Date. Fastify writes a Date with the schema's format.
function postgres(url) {
  const pool = new pg.Pool({ connectionString: url, max: 10 });
  // A named statement is prepared once for each connection.
  const run = (name, sql) => {
    let n = 0;
    const text = sql.replaceAll("?", () => `$${++n}`);
    return async (...values) => (await pool.query({ name, text, values })).rows;
  };
  const [page, nextPage] = [run("page", PAGE), run("next_page", NEXT_PAGE)];
  const [read, create, toggle] = [run("read", READ), run("create", CREATE), run("toggle", TOGGLE)];
  return {
    page,
    nextPage,
    read: async (user, id) => (await read(user, id))[0],
    create: async (user, id, title, description) => {
      const at = new Date();
      return (await create(user, id, title, description, at, at))[0];
    },
    toggle: async (user, id) => (await toggle(new Date(), user, id))[0],
  };
}

const database = SQLITE_FILE ? sqlite(SQLITE_FILE) : postgres(POSTGRES_URL);
const keys = SECRET ? new TextEncoder().encode(SECRET) : createRemoteJWKSet(new URL(JWKS_URL));
const rules = { issuer: ISSUER, audience: ISSUER, algorithms: [SECRET ? "HS256" : "EdDSA"] };

const text = { type: "string" };
const time = { type: "string", format: "date-time" };
const task = {
  type: "object",
  properties: {
    id: text,
    user_id: text,
    title: text,
    description: { type: ["string", "null"] },
    completed: { type: "boolean" },
    created_at: time,
    updated_at: time,
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
  return database.create(request.params.user_id, uuid(), title, description);
});

app.get("/api/:user_id/tasks/:id", { schema: { params, response: { 200: task } } }, async (request, reply) => {
  const { user_id, id } = request.params;
  return (await database.read(user_id, id)) ?? reply.code(404).send({ message: "no such task" });
});

app.patch("/api/:user_id/tasks/:id/complete", { schema: { params, response: { 200: task } } }, async (request, reply) => {
  const { user_id, id } = request.params;
  return (await database.toggle(user_id, id)) ?? reply.code(404).send({ message: "no such task" });
});

await app.listen({ host: "127.0.0.1", port: Number(PORT) });
