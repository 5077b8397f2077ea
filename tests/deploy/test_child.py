"""The programs that the launcher runs."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from deploy.launcher.child import Child, descendants
from deploy.launcher.failure import LaunchFailure
from deploy.launcher.services import ROOT

# Says "ready" in its log once its own child runs, as servers with worker processes do.
FAMILY = "sleep 600 & echo ready; wait"
LIMIT = 30.0


def start(log: Path, script: str = FAMILY) -> Child:
    return Child("the program", ["sh", "-c", script], env=dict(os.environ), log=log)


def start_family(log: Path) -> tuple[Child, list[int]]:
    child = start(log)
    child.wait_until(lambda: log.read_text() == "ready\n" and len(descendants(child.pid)) == 1, LIMIT)
    return child, [child.pid, *descendants(child.pid)]


def end_of(pids: list[int]) -> list[int]:
    """File descriptors that become readable when these processes have ended."""
    return [os.pidfd_open(pid) for pid in pids]


def all_end(descriptors: list[int]) -> bool:
    ended = all(select.select([descriptor], [], [], LIMIT)[0] for descriptor in descriptors)
    for descriptor in descriptors:
        os.close(descriptor)
    return ended


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_kill_ends_the_program_and_what_it_started(tmp_path: Path) -> None:
    child, family = start_family(tmp_path / "log")
    ends = end_of(family)
    child.kill()
    assert select.select(ends, [], [], 0)[0] == ends, "it returned before they were gone"
    assert all_end(ends)
    assert child.exit_code == 128 + signal.SIGKILL


def test_pause_freezes_all_and_resume_wakes_all(tmp_path: Path) -> None:
    child, family = start_family(tmp_path / "log")
    child.pause()
    child.wait_until(lambda: [state(pid) for pid in family] == ["T", "T"], LIMIT)
    child.resume()
    child.wait_until(lambda: "T" not in [state(pid) for pid in family], LIMIT)
    child.kill()


def test_a_program_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    """Given a program deaf to SIGTERM, when it is stopped, then it is killed after the time it was given."""
    log = tmp_path / "log"
    child = start(log, "trap '' TERM; echo ready; while :; do sleep 600; done")
    child.wait_until(lambda: log.read_text() == "ready\n", LIMIT)
    child.stop(timeout=0.1)
    assert child.exit_code == 128 + signal.SIGKILL


def test_a_paused_program_can_be_stopped(tmp_path: Path) -> None:
    child = start(tmp_path / "log", "exec sleep 600")
    child.pause()
    child.stop()
    assert child.exit_code == 128 + signal.SIGTERM


def test_one_that_ends_before_it_is_ready_fails_with_the_end_of_its_log(tmp_path: Path) -> None:
    child = start(tmp_path / "log", "echo the reason; exit 7")
    with pytest.raises(LaunchFailure, match=r"(?s)the program ended with 7 before it was ready.*the reason"):
        child.wait_until(lambda: False, LIMIT)


def test_one_that_is_never_ready_fails_when_time_is_up(tmp_path: Path) -> None:
    child = start(tmp_path / "log", "sleep 600")
    with pytest.raises(LaunchFailure, match="was not ready within 0 s"):
        child.wait_until(lambda: False, 0.0)
    child.kill()


def test_a_program_that_is_not_there_is_a_failure_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(LaunchFailure, match="there is no program kithlog-no-such-program"):
        Child("it", ["kithlog-no-such-program"], env=dict(os.environ), log=tmp_path / "log")


def test_a_child_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    """Given a child started in a short-lived thread, when the thread has ended, then the child runs on."""
    started: list[Child] = []
    thread = threading.Thread(target=lambda: started.append(start_family(tmp_path / "log")[0]))
    thread.start()
    thread.join()
    # The kernel would have sent the death signal before the join returned; this proves that it is still there.
    started[0].pause()
    started[0].wait_until(lambda: state(started[0].pid) == "T", LIMIT)
    assert started[0].running
    started[0].kill()


def test_a_child_dies_with_a_launcher_that_was_killed() -> None:
    """Given a launcher with a running child, when the launcher is killed with SIGKILL, then the child ends too."""
    script = """
        import os, time
        from deploy.launcher.child import Child
        child = Child("it", ["sleep", "600"], env=dict(os.environ), log=None)
        child.wait_until(lambda: open(f"/proc/{child.pid}/comm").read() == "sleep\\n", 30.0)
        print(child.pid, flush=True)
        time.sleep(600)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, cwd=ROOT, text=True
    ) as launcher:
        assert launcher.stdout is not None
        ends = end_of([int(launcher.stdout.readline())])
        launcher.kill()
        assert all_end(ends)
