"""Where the launcher keeps files: a cache that stays, and one private folder per run that goes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from deploy.launcher.failure import LaunchFailure

RUN_PREFIX = "kithlog-run-"
# The account that servers run under when the launcher is root: PostgreSQL refuses root, and no server needs
# it.
_ORDINARY_USER = "nobody"


def server_user() -> str | None:
    """The account to run servers under; None for the launcher's own."""
    return _ORDINARY_USER if os.geteuid() == 0 else None


def reachable(folder: Path) -> bool:
    """Whether any user may read this folder, judged by its mode and that of all folders above."""
    folder = folder.resolve()
    return folder.stat().st_mode & 0o005 == 0o005 and all(up.stat().st_mode & 0o001 for up in folder.parents)


def cache_folder(env: Mapping[str, str]) -> Path:
    """Where downloads are kept: ``KITHLOG_CACHE``, else the user's cache, for root the machine's.

    Servers that root starts run as an ordinary user, who must be able to enter it; and no path with a space in it will
    do, since RabbitMQ's scripts do not quote theirs.
    """
    if given := env.get("KITHLOG_CACHE"):
        candidates = [Path(given)]
    elif server_user():
        candidates = [Path("/var/cache/kithlog"), Path(tempfile.gettempdir(), "kithlog-cache")]
    else:
        home = Path(env.get("XDG_CACHE_HOME") or Path(env.get("HOME") or "~").expanduser() / ".cache")
        candidates = [home / "kithlog", Path(tempfile.gettempdir(), f"kithlog-cache-{os.geteuid()}")]
    for folder in candidates:
        if any(letter.isspace() for letter in str(folder.absolute())):
            continue
        with contextlib.suppress(OSError):
            _make(folder)
            if folder.stat().st_uid == os.geteuid() and (not server_user() or reachable(folder)):
                return folder.resolve()
    tried = ", ".join(map(str, candidates))
    raise LaunchFailure(
        f"no folder for downloads: {tried} cannot be created, has a space in it, or the servers' user cannot enter it; "
        "name another with KITHLOG_CACHE"
    )


def _make(folder: Path) -> None:
    """Makes it, and what is missing above it; for root whatever the umask, since the servers' user has to enter."""
    for each in reversed([folder, *folder.parents]):
        if not each.is_dir():
            each.mkdir(exist_ok=True)  # another launcher may be as far
            if server_user():
                each.chmod(0o755)


@contextlib.contextmanager
def locked(cache: Path, name: str) -> Iterator[None]:
    """Holds the lock of one thing in the cache; waits while another launcher fills it."""
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def arriving(target: Path) -> Iterator[Path]:
    """A folder to fill; it takes the target's place when all went well, so that half never counts.

    To be used under the target's lock: what another had begun to fill was left by one that was killed, and goes.
    """
    for left in target.parent.glob(f".{target.name}-*"):
        shutil.rmtree(left, ignore_errors=True)
    filling = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        filling.chmod(0o755)
        yield filling
        filling.rename(target)
    finally:
        shutil.rmtree(filling, ignore_errors=True)


class RunFolder:
    """The private folder of one run; others know by its lock that the run is alive."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def create(cls, parent: Path | None = None) -> RunFolder:
        """Creates one, after removing those of runs that were killed before they could."""
        parent = parent or temporary_folder()
        remove_stale(parent)
        fresh = Path(tempfile.mkdtemp(prefix=".kithlog-new-", dir=parent))
        # Servers of another user must be able to pass through; what is inside has its own modes.
        fresh.chmod(0o711)
        lock = os.open(fresh / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Only now it gets the name that the sweep looks for: it is never seen unlocked while its run is
        # alive.
        path = parent / (RUN_PREFIX + fresh.name.removeprefix(".kithlog-new-"))
        fresh.rename(path)
        return cls(path, lock)

    def subfolder(self, name: str, mode: int = 0o700) -> Path:
        """A folder in it that belongs to the servers' user."""
        folder = self.path / name
        folder.mkdir(exist_ok=True)
        folder.chmod(mode)
        if user := server_user():
            shutil.chown(folder, user)
        return folder

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def temporary_folder() -> Path:
    """Where run folders go: no space in the path (RabbitMQ's scripts), open to the servers' user."""
    chosen = Path(tempfile.gettempdir())
    return chosen if " " not in str(chosen) and (not server_user() or reachable(chosen)) else Path("/tmp")


def remove_stale(parent: Path) -> None:
    """Removes the folders of this user's runs that are no longer alive."""
    for folder in parent.glob(f"{RUN_PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
                continue
            lock = os.open(folder / "lock", os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


def is_alive(folder: Path) -> bool:
    """Whether somebody holds the lock of this run folder; also when there is one that this user may not ask."""
    try:
        lock = os.open(folder / "lock", os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(lock)
