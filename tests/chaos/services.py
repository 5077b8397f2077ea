"""The command service with a wrong clock: what a machine without time synchronisation does."""

from __future__ import annotations

import os
from datetime import datetime, timedelta

from fastapi import FastAPI

from services.command.app import create_app
from shared.clock import SystemClock

HOURS_OFF = "CHAOS_HOURS_OFF"
"""Environment variable: by how many hours the service's clock is ahead."""


class ShiftedClock:
    def __init__(self, by: timedelta) -> None:
        self._by, self._clock = by, SystemClock()

    def now(self) -> datetime:
        return self._clock.now() + self._by


def create_command_app() -> FastAPI:
    """`services.command.app.create_app`, by a clock that is as wrong as the environment says."""
    return create_app(clock=ShiftedClock(timedelta(hours=float(os.environ.get(HOURS_OFF, "0")))))
