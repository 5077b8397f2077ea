"""Export and import: the terminal's side of `shared.log.exporting` and `shared.log.importing`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from services.cli.database import QUERIES, database, record
from services.cli.settings import OperatorSettings
from services.cli.terminal import (
    Ended,
    ended_by_ctrl_c,
    go_on_with,
    going_on_by,
    meaning,
    misunderstood,
    progress,
    wrong,
)
from shared.log.contents import Hole
from shared.log.exporting import BeingWritten, CannotResume, export_log
from shared.log.importing import NotEmpty, SomebodyWrites, Verified, import_log, verify_file
from shared.log.lines import Damaged


async def export(
    settings: OperatorSettings, file: Path, *, upto: int | None, resume: bool, json: bool
) -> dict[str, Any]:
    again = ("log", "export", "--resume", *(() if upto is None else ("--upto", str(upto))), str(file))
    async with database(settings) as connection:
        head = await connection.fetchval(QUERIES["head"])
        try:
            with going_on_by(*again), progress("export", head if upto is None else upto, json=json) as advance:
                exported = await export_log(connection, file, upto=upto, resume=resume, advance=advance)
        except FileExistsError as error:
            hint = (
                "go on with it by --resume, or delete it" if str(error.filename).endswith(".part") else "name another"
            )
            raise misunderstood(f"{error.filename} is there already: {hint}") from None
        except BeingWritten as error:
            raise wrong(f"{error}: wait for its end, or name another file; nothing was done") from None
        except Damaged as error:
            raise wrong(f"{file}.part was changed, {error}: delete it and begin anew") from None
        except (CannotResume, Hole) as error:
            raise wrong(str(error)) from None
        except ValueError as error:
            raise misunderstood(str(error)) from None
        except OSError as error:
            told = f"can't write {file}: {error.strerror or error}"
            if not _is_begun(file):
                raise misunderstood(told) from None
            raise wrong(f"{told}; {go_on_with(*again)}") from None
        report = _report(file, exported.events, exported.receipts, exported.discarded, exported.digest)
        try:
            await record(connection, settings, "log export", str(file), **report)
        except Exception as error:
            ended = meaning(error)
            if ended is None:
                raise
            told = f"{file} is complete, its sum is {exported.digest}, but that was not recorded"
            raise Ended(ended.code, f"{told}: {ended}") from None
    return report


async def import_(settings: OperatorSettings, file: Path, *, check_only: bool, json: bool) -> dict[str, Any]:
    verified = _verify(file, json)
    end = verified.trailer.end
    report = _report(file, end, verified.trailer.receipts, verified.trailer.discarded, verified.digest)
    if check_only:
        return report
    async with database(settings) as connection:
        try:
            with going_on_by("log", "import", str(file)):
                with progress("import", end, json=json) as advance:
                    there = await import_log(connection, file, verified, advance=advance)
                report |= {"there": there, "written": end - there}
                await record(connection, settings, "log import", str(file), **report)
        except NotEmpty as error:
            raise wrong(f"{error}: import into a new database; nothing was written") from None
        except Damaged as error:
            raise wrong(f"{file} was changed while it was read, {error}") from None
        except SomebodyWrites as error:
            raise wrong(str(error)) from None
        except OSError as error:
            told = f"can't read {file}: {error.strerror or error}"
            raise wrong(f"{told}; {go_on_with('log', 'import', str(file))}") from None
    return report


def _is_begun(file: Path) -> bool:
    return Path(f"{file}.part").exists()


def _report(file: Path, events: int, receipts: int, discarded: int, digest: str) -> dict[str, Any]:
    return {"file": str(file), "events": events, "receipts": receipts, "discarded": discarded, "sum": digest}


def _verify(file: Path, json: bool) -> Verified:
    try:
        with progress("check", file.stat().st_size, json=json) as advance, ended_by_ctrl_c():
            return verify_file(file, advance)
    except Damaged as error:
        raise wrong(f"{file}, {error}: nothing was written") from None
    except OSError as error:
        raise misunderstood(f"can't read {file}: {error.strerror or error}") from None
