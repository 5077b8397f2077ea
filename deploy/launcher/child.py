"""One program that the launcher runs: in its own group, tied to the launcher's life, stopped in order."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from deploy.launcher.failure import LaunchFailure
from deploy.launcher.report import tail

_DYING = 30.0
"""Seconds after which a killed process is left alone that does not end."""
_TETHER = Path(__file__).with_name("tether.py")

# The death signal is tied to the *thread* that started the child, and a test may well start a broker from a
# thread of an event loop that ends with the test. This one thread lives as long as the process.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kithlog-launcher")


class Child:
    """A running program.

    It has its own process group, so that Ctrl-C at the terminal reaches the launcher alone and the order of
    stopping is the launcher's. When the launcher is gone, the kernel sends it ``death_signal``.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        log: Path | None,
        user: str | None = None,
        death_signal: signal.Signals = signal.SIGKILL,
        cwd: Path | None = None,
    ) -> None:
        """Starts it. Output is appended to ``log``; without one it goes where the launcher's goes."""
        self.name = name
        self.log = log
        program = shutil.which(command[0], path=env.get("PATH"))
        if program is None:
            raise LaunchFailure(f"{name}: there is no program {command[0]}")
        tether: list[str | Path] = [
            sys.executable,
            "-I",
            "-S",
            _TETHER,
            str(int(death_signal)),
            str(os.getpid()),
            user or "-",
        ]

        def start() -> subprocess.Popen[bytes]:
            with contextlib.ExitStack() as stack:
                output = stack.enter_context(log.open("ab")) if log else None
                return subprocess.Popen(
                    [*tether, program, *command[1:]],
                    env=dict(env),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd=cwd,
                    process_group=0,
                )

        self._process = _starter.submit(start).result()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; as in a shell, 128 + the signal that ended it."""
        code = self._process.poll()
        return 128 - code if code is not None and code < 0 else code

    @property
    def running(self) -> bool:
        return self.exit_code is None

    def wait(self) -> int:
        """Waits until it has ended by itself; its exit code."""
        code = self._process.wait()
        return 128 - code if code < 0 else code

    def succeed(self, timeout: float) -> None:
        """Waits until it has ended by itself. LaunchFailure when it fails or exceeds ``timeout`` seconds."""
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise self.failure(f"did not end within {timeout:.0f} s") from None
        finally:
            self.kill()
        if code != 0:
            raise self.failure(f"ended with {code}")

    def failure(self, what: str) -> LaunchFailure:
        """The failure to raise about this program, with the end of its log."""
        end = f"\n  the end of {self.log}:\n{tail(self.log)}" if self.log else ""
        return LaunchFailure(f"{self.name} {what}.{end}")

    def wait_until(self, ready: Callable[[], bool], timeout: float) -> None:
        """Asks ``ready`` until it says yes. LaunchFailure when the program ends first or time is up."""
        deadline = time.monotonic() + timeout
        while not ready():
            if (code := self.exit_code) is not None:
                raise self.failure(f"ended with {code} before it was ready")
            if time.monotonic() > deadline:
                raise self.failure(f"was not ready within {timeout:.0f} s")
            time.sleep(0.05)

    def stop(self, with_signal: signal.Signals = signal.SIGTERM, timeout: float = 20.0) -> None:
        """Asks it to end, waits, and kills it when it does not; does nothing when it has ended already."""
        if self.running:
            self.resume()
            os.kill(self.pid, with_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout)
        self.kill()

    def kill(self) -> None:
        """Ends it and everything it started, at once, as a power cut would; returns when it is gone."""
        if self.running:
            # Stopped first, so that it cannot start another process while its family is being counted.
            os.kill(self.pid, signal.SIGSTOP)
            with _watched(descendants(self.pid)) as family:
                self._signal_family(signal.SIGKILL)
                _await_end(family)
        self._process.wait()

    def pause(self) -> None:
        """Freezes it and everything it started: connections stay open, nothing answers."""
        if self.running:
            os.kill(self.pid, signal.SIGSTOP)
            self._signal_family(signal.SIGSTOP)

    def resume(self) -> None:
        if self.running:
            self._signal_family(signal.SIGCONT)

    def _signal_family(self, number: signal.Signals) -> None:
        # Not the process group: PostgreSQL's processes leave it, each leads a group of its own.
        for pid in [*descendants(self.pid), self.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


@contextlib.contextmanager
def _watched(pids: Sequence[int]) -> Iterator[list[int]]:
    """A descriptor for each of these processes that lives, which tells of its end whatever becomes of its number."""
    with contextlib.ExitStack() as open_ones:
        found = []
        for pid in pids:
            with contextlib.suppress(OSError, AttributeError):  # it is gone, or this system can't tell
                found.append(os.pidfd_open(pid))
                open_ones.callback(os.close, found[-1])
        yield found


def _await_end(family: Sequence[int]) -> None:
    """Until all of them have ended. One whose parent is dead keeps what it holds, such as shared memory, for as long
    as it takes to die, be it that the disk has to answer first; what is started anew meanwhile finds that in use."""
    deadline = time.monotonic() + _DYING
    living = select.poll()
    for each in family:
        living.register(each, select.POLLIN)
    left = len(family)
    while left and (rest := deadline - time.monotonic()) > 0:
        for ended, _ in living.poll(rest * 1000):
            living.unregister(ended)
            left -= 1


def descendants(pid: int) -> list[int]:
    """The ids of all processes that this one started, and those that they started, the youngest first."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # "pid (name) state parent …"; the name may hold spaces and brackets.
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
                children.setdefault(int(parent), []).append(int(entry.name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        more = children.get(waiting.pop(), [])
        found.extend(more)
        waiting.extend(more)
    return found[::-1]
