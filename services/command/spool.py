"""Bytes on their way to somebody who may read late: in memory while they are few, then in a temporary file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import Self

IN_MEMORY = 1024 * 1024
PART = 64 * 1024


class Spool:
    """Written without waiting, read in order by one reader."""

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - closed on exit
        self._written = self._read = 0
        self._finished = False
        self._news = asyncio.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def write(self, data: bytes) -> None:
        self._file.seek(self._written)
        self._file.write(data)
        self._written += len(data)
        self._news.set()

    def finish(self) -> None:
        """Nothing more will be written."""
        self._finished = True
        self._news.set()

    async def read(self) -> AsyncIterator[bytes]:
        """What was written, in parts, until `finish`."""
        while True:
            while self._read < self._written:
                self._file.seek(self._read)
                part = self._file.read(PART)
                self._read += len(part)
                yield part
            self._file.seek(0)
            self._file.truncate()
            self._written = self._read = 0
            if self._finished:
                return
            self._news.clear()
            await self._news.wait()
