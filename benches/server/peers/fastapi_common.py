"""The API as in the tutorials of FastAPI and SQLModel: synchronous endpoints, a session for each request, PyJWT."""

import os
import time
from datetime import UTC, datetime
from secrets import randbits
from typing import Annotated
from uuid import UUID

import jwt
from fastapi import Depends, FastAPI, HTTPException, Query
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import DateTime, LargeBinary, TypeDecorator, Uuid
from sqlalchemy.dialects import sqlite
from sqlmodel import Field, Session, SQLModel, create_engine, select

ISSUER = os.environ["ISSUER"]
SECRET = os.environ.get("SECRET")
# One connection per FastAPI thread. With fewer, threads that wait for a connection block those that would return one.
engine = create_engine(os.environ["SQLALCHEMY_URL"], pool_size=40)
jwks = jwt.PyJWKClient(os.environ["JWKS_URL"])


class Id(TypeDecorator):
    """A UUID, stored as 16 bytes in SQLite."""

    impl = Uuid
    cache_ok = True

    def load_dialect_impl(self, dialect):
        return dialect.type_descriptor(LargeBinary(16) if dialect.name == "sqlite" else Uuid())

    def process_bind_param(self, value, dialect):
        return value.bytes if dialect.name == "sqlite" else value

    def process_result_value(self, value, dialect):
        return UUID(bytes=value) if dialect.name == "sqlite" else value


# SQLite has no type for times: they are text, in UTC. SQLAlchemy's own format would not contain the time zone.
RFC3339 = "%(year)04d-%(month)02d-%(day)02dT%(hour)02d:%(minute)02d:%(second)02d.%(microsecond)06dZ"
Time = DateTime(timezone=True).with_variant(sqlite.DATETIME(storage_format=RFC3339), "sqlite")


def uuid7() -> UUID:
    return UUID(int=time.time_ns() // 1_000_000 << 80 | 7 << 76 | randbits(12) << 64 | 2 << 62 | randbits(62))


def now() -> datetime:
    return datetime.now(UTC)


class NewTask(SQLModel):
    title: str = Field(min_length=1, max_length=200)
    description: str | None = Field(default=None, max_length=2000)


class TaskPublic(NewTask):
    id: UUID
    user_id: str
    completed: bool
    created_at: datetime
    updated_at: datetime


class Task(NewTask, table=True):
    __tablename__ = "tasks"
    user_id: str = Field(primary_key=True)
    id: UUID = Field(primary_key=True, default_factory=uuid7, sa_type=Id)
    completed: bool = False
    version: int = 1
    created_at: datetime = Field(default_factory=now, sa_type=Time)
    updated_at: datetime = Field(default_factory=now, sa_type=Time)


class Page(SQLModel):
    items: list[TaskPublic]
    next_cursor: UUID | None


def session():
    with Session(engine) as session:
        yield session


def user(user_id: str, token: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]) -> str:
    try:
        key = SECRET or jwks.get_signing_key_from_jwt(token.credentials).key
        algorithm = "HS256" if SECRET else "EdDSA"
        claims = jwt.decode(token.credentials, key, algorithms=[algorithm], issuer=ISSUER, audience=ISSUER)
    except jwt.PyJWTError as error:
        raise HTTPException(401, "the token is not valid") from error
    if claims["sub"] != user_id:
        raise HTTPException(403, "another user's tasks")
    return user_id


app = FastAPI()
User = Annotated[str, Depends(user)]
Database = Annotated[Session, Depends(session)]


def existing(database: Session, user: str, id: UUID) -> Task:
    task = database.get(Task, (user, id))
    if task is None:
        raise HTTPException(404, "no such task")
    return task


@app.get("/api/{user_id}/tasks", response_model=Page)
def list_tasks(
    user: User, database: Database, limit: Annotated[int, Query(ge=1, le=100)] = 50, cursor: UUID | None = None
):
    tasks = select(Task).where(Task.user_id == user).order_by(Task.id.desc()).limit(limit + 1)
    if cursor:
        tasks = tasks.where(Task.id < cursor)
    items = database.exec(tasks).all()
    return {"items": items[:limit], "next_cursor": items[limit - 1].id if len(items) > limit else None}


@app.post("/api/{user_id}/tasks", response_model=TaskPublic, status_code=201)
def create_task(user: User, database: Database, new: NewTask):
    task = Task(user_id=user, **new.model_dump())
    database.add(task)
    database.commit()
    database.refresh(task)
    return task


@app.get("/api/{user_id}/tasks/{id}", response_model=TaskPublic)
def read_task(user: User, database: Database, id: UUID):
    return existing(database, user, id)


@app.patch("/api/{user_id}/tasks/{id}/complete", response_model=TaskPublic)
def toggle_task(user: User, database: Database, id: UUID):
    task = existing(database, user, id)
    task.completed = not task.completed
    task.version += 1
    task.updated_at = now()
    database.add(task)
    database.commit()
    database.refresh(task)
    return task
