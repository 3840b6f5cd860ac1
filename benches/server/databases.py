"""The databases: templates are created and filled, and every server gets its own copy of one."""

import os
import random
import shutil
import socket
import sqlite3
import subprocess
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import psycopg

import processes

READER, WRITER = "reader-4q8Xv2mZt7LrB9sKd3HwYc6Pf1Nj", "writer-7Tn5Gx0QaR2eVb8UyMi4Ok9ZsDw"
OTHERS = [f"user-{n}" for n in range(8)]
SMALL, LARGE = "small", "large"
TASKS_EACH = {SMALL: 1000, LARGE: 100_000}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
COLUMNS = "user_id, id, title, description, completed, version, created_at, updated_at"


def rows(tasks_each):
    """Tasks of the reader and of each of the other users; none of the writer."""
    generator = random.Random(1)
    words = "call write pay book clean order check plan mend sort the a two old new red house bike letter lamp".split()
    users = [READER, *OTHERS]
    for n in range(tasks_each * len(users)):
        millis = 1_790_000_000_000 + n * 61_007
        id = UUID(int=millis << 80 | 7 << 76 | generator.getrandbits(12) << 64 | 2 << 62 | generator.getrandbits(62))
        # Milliseconds are the precision of JavaScript's Date, so all servers respond with the same times.
        time = (EPOCH + timedelta(milliseconds=millis)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        description = " ".join(generator.choices(words, k=12)) if generator.random() < 0.7 else None
        title = " ".join(generator.choices(words, k=4))
        yield users[n % len(users)], id, title, description, n % 4 == 0, 1, time, time


class Sqlite:
    name = "SQLite"

    def __init__(self, directory: Path, migrate):
        self.directory = directory
        for template, tasks_each in TASKS_EACH.items():
            file = directory / f"template-{template}.db"
            migrate(f"sqlite://{file}?mode=rwc")
            with sqlite3.connect(file) as database:
                insert = f"INSERT INTO tasks ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
                database.executemany(insert, ((row[0], row[1].bytes, *row[2:]) for row in rows(tasks_each)))
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            database.close()

    def copy(self, template, name):
        """Environment variables with the address of the copy, in all formats."""
        file = self.directory / f"{name}.db"
        for leftover in self.directory.glob(f"{name}.db*"):
            leftover.unlink()
        shutil.copy(self.directory / f"template-{template}.db", file)
        return {"DATABASE_URL": f"sqlite://{file}", "SQLITE_FILE": str(file), "SQLALCHEMY_URL": f"sqlite:///{file}"}

    def delete_written(self, name):
        with sqlite3.connect(self.directory / f"{name}.db", timeout=10) as database:
            database.execute("DELETE FROM tasks WHERE user_id = ?", (WRITER,))
        database.close()

    def cpu_seconds(self):
        """SQLite runs in the server's process."""
        return 0


class Postgres:
    name = "PostgreSQL"

    def __init__(self, pid, url, migrate):
        self.pid = pid
        self.url = url
        for template, tasks_each in TASKS_EACH.items():
            self.administer(f"CREATE DATABASE template_{template}")
            address = f"{url}/template_{template}"
            migrate(address)
            with psycopg.connect(address) as database, database.cursor() as cursor:
                with cursor.copy(f"COPY tasks ({COLUMNS}) FROM STDIN") as copy:
                    for row in rows(tasks_each):
                        copy.write_row(row)
            with psycopg.connect(address, autocommit=True) as database:
                database.execute("VACUUM ANALYZE")

    def copy(self, template, name):
        database = name.replace("-", "_")
        self.administer(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
        self.administer(f"CREATE DATABASE {database} TEMPLATE template_{template}")
        url = f"{self.url}/{database}"
        return {"DATABASE_URL": url, "POSTGRES_URL": url, "SQLALCHEMY_URL": url}

    def delete_written(self, name):
        with psycopg.connect(f"{self.url}/{name.replace('-', '_')}", autocommit=True) as database:
            database.execute("DELETE FROM tasks WHERE user_id = %s", (WRITER,))
            database.execute("VACUUM tasks")

    def cpu_seconds(self):
        return processes.cpu_seconds(self.pid)

    def administer(self, statement):
        with psycopg.connect(f"{self.url}/postgres", autocommit=True) as database:
            database.execute(statement)


@contextmanager
def cluster(directory: Path, pin):
    """A temporary PostgreSQL server on loopback. Yields its process id, and its URL without a database."""
    data = directory / "cluster"
    data.mkdir()
    user = None
    if os.geteuid() == 0:
        user = "postgres"  # PostgreSQL does not run as root.
        directory.chmod(0o755)
        shutil.chown(data, user)
    initdb = [program("initdb"), "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "--locale=C.UTF-8", "--encoding=UTF8"]
    subprocess.run(initdb, user=user, cwd=data, check=True, stdout=subprocess.DEVNULL)
    port = free_port()
    # Durability is not needed here, and waiting for a shared disk would add noise. The buffers hold the large database.
    settings = {
        "port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "ssl": "off", "max_connections": 200,
        "fsync": "off", "shared_buffers": "1GB",
    }
    options = [option for name, value in settings.items() for option in ("-c", f"{name}={value}")]
    with open(directory / "postgres.log", "wb") as log:
        postgres = subprocess.Popen(
            [program("postgres"), "-D", data, *options], user=user, cwd=data, stdout=log, stderr=log, preexec_fn=pin
        )
    try:
        url = f"postgresql://postgres@127.0.0.1:{port}"
        for _ in range(200):
            try:
                psycopg.connect(f"{url}/postgres").close()
                break
            except psycopg.OperationalError:
                time.sleep(0.05)
        yield postgres.pid, url
    finally:
        postgres.terminate()
        postgres.wait()


def program(name):
    """The path of one of PostgreSQL's programs, which many systems do not put on `PATH`."""
    directories = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), *map(Path, os.get_exec_path())]
    return next(directory / name for directory in directories if (directory / name).exists())


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
