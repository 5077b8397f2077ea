"""`kithlog`: the root of the command line. A group of commands is imported when it is used, and not before."""

import importlib
import sys
from io import TextIOWrapper
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from shared.operations.garbage import spare_collections

GROUPS: dict[str, str] = {
    "asof": "services.cli.asof",
    "dead": "services.cli.dead",
    "doctor": "services.cli.doctor",
    "log": "services.cli.log",
    "parked": "services.cli.parked",
    "policy": "services.cli.policy",
    "questions": "services.cli.questions",
    "rebuild": "services.cli.rebuild",
    "reminders": "services.cli.reminders",
    "replay": "services.cli.replay",
    "rollback": "services.cli.rollback",
    "verify": "services.cli.verify",
}
"""Name of each group of commands and the module whose Typer `app` it is."""


class _Groups(TyperGroup):
    """Looks commands up in `GROUPS`: `kithlog questions` needs neither a database driver nor a broker client."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted({*super().list_commands(ctx), *GROUPS})

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in GROUPS:
            return super().get_command(ctx, cmd_name)
        group = get_command(importlib.import_module(GROUPS[cmd_name]).app)
        group.name = cmd_name
        return group


app = typer.Typer(name="kithlog", cls=_Groups, no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def root() -> None:
    """Kithlog: the event log of informational interviews, and of the ties that grow from them."""


def main() -> None:
    """A process that ends with its one verb, and in the long ones makes millions of things that don't last."""
    spare_collections()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # Where the terminal's encoding lacks a letter, the verb must not end for that: what it did is done.
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="kithlog")  # by whatever path it was called: shell completion goes by this name


if __name__ == "__main__":
    main()
