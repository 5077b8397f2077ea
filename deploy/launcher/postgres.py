"""A private PostgreSQL server on loopback."""

from __future__ import annotations

import secrets
import shutil
import signal
from collections.abc import Mapping
from copy import copy
from pathlib import Path

import asyncpg

from deploy.launcher.child import Child
from deploy.launcher.folders import RunFolder, server_user
from deploy.launcher.ports import LOOPBACK, answers, pick
from deploy.launcher.postgres_binaries import PostgresBinaries
from deploy.launcher.sql import fetch_value, server_version

DATABASE = "kithlog"
_USER = "kithlog"
_START_TIMEOUT = 60.0


class LocalPostgres:
    """One server with one superuser, ``kithlog``, who owns a database of that name.

    Durable as in production (``fsync`` is on): after :meth:`kill`, :meth:`start` brings back all that was
    committed.
    """

    def __init__(
        self,
        binaries: PostgresBinaries,
        run: RunFolder,
        env: Mapping[str, str],
        preferred_port: int | None = None,
    ) -> None:
        self.port = pick(preferred_port)
        self.origin = binaries.origin
        self.version = "?"
        self.log = run.path / "postgres.log"
        self._binaries = binaries.folder
        self._home = run.subfolder("postgres")
        self._data = self._home / "data"
        # Nothing of the caller's PG* variables may reach the server.
        self._env = {k: v for k, v in env.items() if not k.startswith("PG")} | {
            "HOME": str(self._home),
            "LC_ALL": "C",
        }
        self._password = secrets.token_urlsafe(24)
        self._server: Child | None = None

    def url_of(self, database: str) -> str:
        # Said, because whoever uses it would else go by PGSSLMODE in their environment, and this server has no TLS.
        return f"postgresql://{_USER}:{self._password}@{LOOPBACK}:{self.port}/{database}?sslmode=disable"

    @property
    def database_url(self) -> str:
        """The superuser's way into the database ``kithlog``."""
        return self.url_of(DATABASE)

    def start(self) -> None:
        """Starts it, at first with new data; returns when it answers. Does nothing while it runs."""
        if self._server and self._server.running:
            return
        fresh = not self._data.exists()
        if fresh:
            self._initialise()
        # SIGQUIT ends a PostgreSQL server at once, and unlike SIGKILL lets it give back its shared memory.
        options = [f"-clisten_addresses={LOOPBACK}", "-cmax_connections=200"]
        self._server = Child(
            "PostgreSQL",
            [self._binaries / "postgres", "-D", self._data, "-p", str(self.port), "-k", "", *options],
            env=self._env,
            log=self.log,
            user=server_user(),
            death_signal=signal.SIGQUIT,
        )
        self._server.wait_until(lambda: answers(self.port) and self._accepts(), _START_TIMEOUT)
        if fresh:
            fetch_value(self.url_of("postgres"), f"CREATE DATABASE {DATABASE}")
        self.version = server_version(self.database_url)

    def stop(self) -> None:
        """Ends it in order: what was committed is on disk, open connections are closed."""
        if self._server:
            self._server.stop(signal.SIGINT)

    def kill(self) -> None:
        """``SIGKILL`` to the server and all its processes."""
        if self._server:
            self._server.kill()

    def pause(self) -> None:
        """Freezes the server: connections stay open, nothing answers."""
        if self._server:
            self._server.pause()

    def resume(self) -> None:
        if self._server:
            self._server.resume()

    def stand_by(self, run: RunFolder) -> LocalPostgres:
        """A second server, with a port of its own, that has everything this one answers as committed.

        From now on this one's commits wait for it, until it is gone or :meth:`promote` makes it a server of its own.
        """
        other = copy(self)
        other.port, other.log, other._server = pick(), run.path / "postgres-stand-by.log", None
        other._home = run.subfolder("postgres-stand-by")
        other._data = other._home / "data"
        command: list[str | Path] = [self._binaries / "pg_basebackup", "-D", other._data, "-h", LOOPBACK]
        command += ["-p", str(self.port), "-U", _USER, "--write-recovery-conf", "--checkpoint=fast", "--no-sync"]
        env = self._env | {"PGPASSWORD": self._password}
        Child("pg_basebackup", command, env=env, log=other.log, user=server_user()).succeed(_START_TIMEOUT)
        other.start()
        # Set after the copy was taken: the copy must not wait for a stand-by of its own one day.
        fetch_value(self.url_of("postgres"), "ALTER SYSTEM SET synchronous_standby_names = '*'")
        fetch_value(self.url_of("postgres"), "SELECT pg_reload_conf()")
        self.wait_until_followed()
        return other

    def wait_until_followed(self) -> None:
        """Returns when a stand-by has all that was committed, and commits wait for it."""
        if self._server:
            self._server.wait_until(self._is_followed, _START_TIMEOUT)

    def promote(self) -> None:
        """Makes a stand-by a server that accepts writes; returns when it does."""
        fetch_value(self.url_of("postgres"), "SELECT pg_promote()")

    def create_database(self, name: str, template: str | None = None) -> str:
        """Creates a database, as a copy of ``template`` (to which nobody may be connected); its URL."""
        copy = f' TEMPLATE "{template}"' if template else ""
        fetch_value(self.url_of("postgres"), f'CREATE DATABASE "{name}"{copy}')
        return self.url_of(name)

    def drop_database(self, name: str) -> None:
        """Drops a database and ends the connections to it."""
        fetch_value(self.url_of("postgres"), f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _initialise(self) -> None:
        password_file = self._home / "password"
        password_file.touch(0o600)
        password_file.write_text(self._password)
        if user := server_user():
            shutil.chown(password_file, user)
        command: list[str | Path] = [self._binaries / "initdb", "-D", self._data, "-U", _USER]
        command += ["--auth=scram-sha-256", f"--pwfile={password_file}"]
        command += ["-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
        Child("initdb", command, env=self._env, log=self.log, user=server_user()).succeed(_START_TIMEOUT)
        password_file.unlink()

    def _is_followed(self) -> bool:
        state = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming'"
        return fetch_value(self.url_of("postgres"), state) == 1

    def _accepts(self) -> bool:
        try:
            return fetch_value(self.url_of("postgres"), "SELECT 1", timeout=5.0) == 1
        except (OSError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError):
            return False
