"""The servers: how each is started, observed and stopped."""

import http.client
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import processes
from databases import LARGE, SMALL, free_port

HERE = Path(__file__).parent
UVICORN = [sys.executable, "-m", "uvicorn", "--app-dir", str(HERE / "peers"), "--host", "127.0.0.1", "--port", "{port}"]


@dataclass(frozen=True)
class ServerConfig:
    """A server to measure. `{port}` and `{programs}` in its command are replaced when it starts."""

    name: str
    about: str
    command: list
    scheme: dict = field(default_factory=dict)
    """SQLAlchemy's URL schemes with the names of the drivers, in place of `sqlite` and `postgresql`."""
    template: str = SMALL
    """The database that it gets a copy of."""


OURS = ServerConfig("tasks-api", "this project with its default settings", ["{programs}/tasks-api", "serve"])
COMMON = ServerConfig(
    "fastapi-common",
    "FastAPI + SQLModel + PyJWT as in their tutorials",
    [*UVICORN, "fastapi_common:app"],
    {"postgresql": "postgresql+psycopg"},
)
TUNED = ServerConfig(
    "fastapi-tuned",
    "FastAPI asynchronous, SQLAlchemy Core, orjson, uvloop, 2 workers",
    [*UVICORN, "--workers", "2", "--loop", "uvloop", "--http", "httptools", "--no-access-log", "fastapi_tuned:app"],
    {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"},
)
FASTIFY = ServerConfig("fastify", "Fastify + better-sqlite3 or pg + jose", ["node", str(HERE / "peers/fastify.mjs")])
OURS_LARGE = replace(OURS, name="tasks-api-large", about="this project with a hundred times as many tasks", template=LARGE)
HELLO = ServerConfig("hello", "axum alone", ["{programs}/hello", "127.0.0.1:{port}"])

SERVERS = [OURS, COMMON, TUNED, FASTIFY, OURS_LARGE]


class Server:
    """A running server with its own database."""

    def __init__(self, config, *, programs, database, tokens, log_directory, pin):
        self.config, self.name = config, config.name
        self.port = free_port()
        command = [part.format(port=self.port, programs=programs) for part in config.command]
        self.log = log_directory / f"{self.name}.log"
        with open(self.log, "wb") as log:
            self.started = time.perf_counter()
            self.process = subprocess.Popen(
                command, env=os.environ | self.environment(database, tokens), stdout=log, stderr=log, preexec_fn=pin
            )

    def environment(self, database, tokens):
        scheme, rest = database["SQLALCHEMY_URL"].split(":", 1)
        environment = database | {
            "SQLALCHEMY_URL": f"{self.config.scheme.get(scheme, scheme)}:{rest}",
            "TASKS_API_LISTEN": f"127.0.0.1:{self.port}",
            "PORT": str(self.port),
            "NODE_ENV": "production",
            "ISSUER": tokens.issuer,
            "JWKS_URL": f"{tokens.issuer}/api/auth/jwks",
        }
        if tokens.secret:
            return environment | {
                "SECRET": tokens.secret,
                "BETTER_AUTH_SECRET": tokens.secret,
                "BETTER_AUTH_ISSUER": tokens.issuer,
                "BETTER_AUTH_AUDIENCE": tokens.issuer,
            }
        return environment | {"BETTER_AUTH_URL": tokens.issuer}

    def request(self, method, path, token=None, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        is_json = "json" in response.headers.get("content-type", "")
        return response.status, json.loads(content) if is_json else content.decode()

    def wait_for(self, path, token, timeout=30):
        """Milliseconds from the start of the process to the first 200."""
        response = None
        while time.perf_counter() - self.started < timeout and self.process.poll() is None:
            try:
                response = self.request("GET", path, token)
                if response[0] == 200:
                    return (time.perf_counter() - self.started) * 1000
            except OSError:
                pass
            time.sleep(0.001)
        raise RuntimeError(f"{self.name}: no 200, last response {response}:\n{self.log.read_text()[-2000:]}")

    def cpu_seconds(self):
        return processes.cpu_seconds(self.process.pid)

    def memory_mb(self):
        return processes.memory_mb(self.process.pid)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
