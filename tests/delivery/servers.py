"""Mail servers that say what they are told to, and the pause after which one is asked again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from deploy.delivery.desk import FIRST_PAUSE

A_MOMENT = timedelta(seconds=FIRST_PAUSE)


def refusing(verb: bytes, answer: bytes) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """A mail server that answers so to a command, or to a mail (`.`)."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        while line := await reader.readline():
            if line.startswith(b"DATA") and verb != b"DATA":
                writer.write(b"354 go on\r\n")
                while (line := await reader.readline()) != b".\r\n":
                    pass
            writer.write((answer if line.startswith(verb) else b"250 yes") + b"\r\n")
        writer.close()

    return refuse
