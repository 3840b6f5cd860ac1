"""The same API, optimised: asynchronous, SQLAlchemy Core, one statement for each request, orjson, keys parsed once."""

import os
import time
from datetime import UTC, datetime
from secrets import randbits
from typing import Annotated
from uuid import UUID

import jwt
import orjson
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy import (
    BigInteger, Boolean, Column, DateTime, LargeBinary, MetaData, Table, Text, Uuid, bindparam, event, insert, not_, select, update,
)
from sqlalchemy.ext.asyncio import create_async_engine

ISSUER = os.environ["ISSUER"]
SECRET = os.environ.get("SECRET")
SQLITE = os.environ["SQLALCHEMY_URL"].startswith("sqlite")
engine = create_async_engine(os.environ["SQLALCHEMY_URL"], pool_size=5)
if SQLITE:

    @event.listens_for(engine.sync_engine, "connect")
    def tune(connection, _):
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")


# SQLite has no type for times: they are text, which responses contain as it is.
TIME = Text if SQLITE else DateTime(timezone=True)
tasks = Table(
    "tasks",
    MetaData(),
    Column("user_id", Text, primary_key=True),
    Column("id", LargeBinary(16) if SQLITE else Uuid, primary_key=True),
    Column("title", Text),
    Column("description", Text),
    Column("completed", Boolean),
    Column("version", BigInteger),
    Column("created_at", TIME),
    Column("updated_at", TIME),
)
SHOWN = [column for column in tasks.columns if column.name != "version"]
NAMES = ["user_id", "id", "title", "description", "completed", "created_at", "updated_at"]

# Built once; requests bind the parameters.
MINE = tasks.c.user_id == bindparam("user")
PAGE = select(*SHOWN).where(MINE).order_by(tasks.c.id.desc()).limit(bindparam("most"))
NEXT_PAGE = PAGE.where(tasks.c.id < bindparam("cursor"))
READ = select(*SHOWN).where(MINE, tasks.c.id == bindparam("task"))
CREATE = insert(tasks)
TOGGLE = (
    update(tasks)
    .where(MINE, tasks.c.id == bindparam("task"))
    .values(completed=not_(tasks.c.completed), version=tasks.c.version + 1, updated_at=bindparam("at"))
    .returning(*SHOWN)
)

app = FastAPI()
jwks = jwt.PyJWKClient(os.environ["JWKS_URL"])
keys = {}


class NewTask(BaseModel):
    title: str = Field(min_length=1, max_length=200)
    description: str | None = Field(default=None, max_length=2000)


def key(token: str):
    if SECRET:
        return SECRET
    kid = jwt.get_unverified_header(token).get("kid")
    if kid not in keys:
        keys[kid] = jwks.get_signing_key(kid).key
    return keys[kid]


ALGORITHMS = ["HS256" if SECRET else "EdDSA"]


async def user(user_id: str, request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise HTTPException(401, "a token is missing")
    try:
        claims = jwt.decode(token, key(token), algorithms=ALGORITHMS, issuer=ISSUER, audience=ISSUER)
    except jwt.PyJWTError as error:
        raise HTTPException(401, "the token is not valid") from error
    if claims["sub"] != user_id:
        raise HTTPException(403, "another user's tasks")
    return user_id


User = Annotated[str, Depends(user)]


def now() -> datetime | str:
    time = datetime.now(UTC)
    return time.isoformat().replace("+00:00", "Z") if SQLITE else time


def new_id() -> UUID:
    return UUID(int=time.time_ns() // 1_000_000 << 80 | 7 << 76 | randbits(12) << 64 | 2 << 62 | randbits(62))


def stored(id: UUID):
    return id.bytes if SQLITE else id


def shown(row) -> dict:
    task = dict(zip(NAMES, row))
    # asyncpg has its own UUID type, which orjson does not support.
    task["id"] = UUID(bytes=task["id"]) if SQLITE else str(task["id"])
    return task


def json_response(content, status: int = 200) -> Response:
    body = orjson.dumps(content, option=orjson.OPT_UTC_Z)
    return Response(body, status, media_type="application/json")


@app.get("/api/{user_id}/tasks")
async def list_tasks(user: User, limit: Annotated[int, Query(ge=1, le=100)] = 50, cursor: UUID | None = None):
    bound = {"user": user, "most": limit + 1}
    if cursor:
        bound["cursor"] = stored(cursor)
    async with engine.connect() as database:
        rows = (await database.execute(NEXT_PAGE if cursor else PAGE, bound)).all()
    items = [shown(row) for row in rows[:limit]]
    return json_response({"items": items, "next_cursor": items[-1]["id"] if len(rows) > limit else None})


@app.post("/api/{user_id}/tasks")
async def create_task(user: User, new: NewTask):
    at = now()
    row = (user, stored(new_id()), new.title, new.description, False, at, at)
    async with engine.begin() as database:
        await database.execute(CREATE, dict(zip(NAMES, row)) | {"version": 1})
    return json_response(shown(row), 201)


@app.get("/api/{user_id}/tasks/{id}")
async def read_task(user: User, id: UUID):
    async with engine.connect() as database:
        row = (await database.execute(READ, {"user": user, "task": stored(id)})).first()
    if row is None:
        raise HTTPException(404, "no such task")
    return json_response(shown(row))


@app.patch("/api/{user_id}/tasks/{id}/complete")
async def toggle_task(user: User, id: UUID):
    async with engine.begin() as database:
        row = (await database.execute(TOGGLE, {"user": user, "task": stored(id), "at": now()})).first()
    if row is None:
        raise HTTPException(404, "no such task")
    return json_response(shown(row))
