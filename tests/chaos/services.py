"""The services as they are started for a run, on a machine whose own clock may be wrong by hours."""

from __future__ import annotations

import os
import time
from datetime import datetime, timedelta

from fastapi import FastAPI

from shared.clock import SystemClock

HOURS_OFF = "CHAOS_HOURS_OFF"
"""Environment variable: by how many hours this process's clock is ahead."""


def create_command_app() -> FastAPI:
    from services.command.app import create_app  # here, so that neither service takes as long as both to start

    set_the_clock_wrong()
    return create_app()


def create_projector_app() -> FastAPI:
    from services.projector.app import create_app

    set_the_clock_wrong()
    return create_app()


def set_the_clock_wrong() -> None:
    """Shift what tells this process the time of day, as far as the environment says.

    That is `time.time`, and the one place where Kithlog reads a clock (the linter bans all others). Monotonic clocks
    go on as they are: they know of no time of day on any machine.
    """
    by = timedelta(hours=float(os.environ.get(HOURS_OFF, "0")))
    right_time, right_now = time.time, SystemClock.now

    def wrong_time() -> float:
        return right_time() + by.total_seconds()

    def wrong_now(clock: SystemClock) -> datetime:
        return right_now(clock) + by

    if by:
        time.time = wrong_time
        SystemClock.now = wrong_now  # type: ignore[method-assign, assignment]
