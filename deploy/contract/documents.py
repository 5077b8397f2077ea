"""Which documents there are, and where: the only place that knows both services and the folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from fastapi import FastAPI

from services.command.answers import Answer, WrittenEvent
from services.command.app import create_app as create_command_app
from services.command.settings import CommandSettings
from services.projector.app import create_app as create_projector_app
from services.projector.settings import ProjectorSettings
from shared.contract import cloudevent_schema, command_schemas, event_schemas
from shared.contract.asyncapi import asyncapi
from shared.contract.examples import recorded_example
from shared.contract.json import Json, render
from shared.domain.catalogue import COMMANDS, EVENTS
from shared.operations.problems import Problem, ProblemDocument

FOLDER = Path(__file__).parent

Documents = Mapping[str, Json]
"""Path below the folder → document."""


def committed(folder: Path = FOLDER) -> dict[str, Json]:
    """The documents as they were released."""
    files = sorted(folder.rglob("*.json"))
    return {file.relative_to(folder).as_posix(): json.loads(file.read_text(encoding="utf-8")) for file in files}


def generated(released: Documents) -> dict[str, Json]:
    """The documents that the code makes.

    From those that are `released` it takes the schemas of older versions of events: no class describes them any more,
    but the log holds such events, and they go over the wire.
    """
    events = {
        event_schemas.file_of(each.type, each.schema_version): event_schemas.event_schema(each)
        for each in EVENTS.values()
    }
    events |= {file: schema for file, schema in _below("events/", released).items() if _is_older(file)}
    events = dict(sorted(events.items()))
    commands = {
        command_schemas.file_of(name): command_schemas.command_schema(COMMANDS[name]) for name in sorted(COMMANDS)
    }
    return {
        **{f"events/{file}": schema for file, schema in events.items()},
        **{f"commands/{file}": schema for file, schema in commands.items()},
        cloudevent_schema.FILE: cloudevent_schema.CLOUDEVENT,
        "asyncapi.json": asyncapi(events, commands, _replies()),
        "openapi.command.json": _openapi(create_command_app(CommandSettings())),
        "openapi.projector.json": _openapi(create_projector_app(ProjectorSettings())),
    }


def write(documents: Documents, folder: Path = FOLDER) -> list[str]:
    """Make the folder hold exactly these documents; answers which files changed."""
    before = {file.relative_to(folder).as_posix(): file.read_text(encoding="utf-8") for file in folder.rglob("*.json")}
    after = {path: render(document) for path, document in documents.items()}
    changed = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    for path in changed:
        file = folder / path
        if path in after:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(after[path], encoding="utf-8")
        else:
            file.unlink()
    return changed


def _replies() -> tuple[Answer, ProblemDocument]:
    """Examples of what a command may be answered with."""
    event = recorded_example("interview.accepted", 1, {})
    written = WrittenEvent(
        position=event.position,
        type=event.type,
        stream=f"{event.category}/{event.stream_id}",
        version=event.version,
        event_id=event.event_id,
    )
    accepted = Answer(
        command_id=event.command_id,
        position=event.position,
        events=[written],
        recorded_at=event.recorded_at,
        repeated=False,
    )
    refused = Problem(
        409,
        "out_of_order",
        "interview.held can't follow: this interview is planned",
        "record interview.send_request first, then interview.accept; interview.held may follow while the interview is: "
        "accepted, agreed_loosely, confirmed, scheduled, started, times_offered",
    )
    return accepted, ProblemDocument.model_validate(refused.to_dict())


def _openapi(app: FastAPI) -> Json:
    return app.openapi()


def _below(folder: str, documents: Documents) -> dict[str, Json]:
    return {path.removeprefix(folder): document for path, document in documents.items() if path.startswith(folder)}


def _is_older(file: str) -> bool:
    """Whether it is the schema of an earlier version of an event that there is."""
    type, _, version = file.removesuffix(".json").rpartition(".v")
    return type in EVENTS and int(version) < EVENTS[type].schema_version
