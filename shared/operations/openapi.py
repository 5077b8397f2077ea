"""What FastAPI's own description of an app leaves out or gets wrong: how its errors look, and that an answer may get
further fields.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from shared.operations.problems import CONTENT_TYPE, ProblemDocument

_REFERENCE = "#/components/schemas/{model}"
_FASTAPIS_OWN = ("HTTPValidationError", "ValidationError")


def problem_response(description: str) -> dict[str, Any]:
    """A response that is a problem document, for an endpoint's `responses`."""
    reference = {"$ref": _REFERENCE.format(model=ProblemDocument.__name__)}
    return {"description": description, "content": {CONTENT_TYPE: {"schema": reference}}}


def describe_problems(app: FastAPI) -> None:
    """Let `app.openapi()` say that errors are problem documents, where the app is, and that it asks for no login."""
    complete(app, _add_problems)


def complete(app: FastAPI, add: Callable[[dict[str, Any]], None]) -> None:
    """Let `app.openapi()` tell what `add` adds to its document, too; made when first asked for."""
    without = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = without()
            add(document)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way


def _add_problems(document: dict[str, Any]) -> None:
    document["servers"] = [{"url": "/", "description": "Where this document was found."}]
    document["security"] = []
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in _FASTAPIS_OWN:
        schemas.pop(name, None)
    _, definitions = models_json_schema([(ProblemDocument, "serialization")], ref_template=_REFERENCE)
    for schema in schemas.values():
        # Parts that an answer shares with commands: those take nothing unknown, but readers have to ignore it.
        if schema.get("additionalProperties") is False:
            del schema["additionalProperties"]
    schemas |= definitions["$defs"]
    for path, item in document["paths"].items():
        if path.startswith("/v1/"):
            for operation in item.values():
                _refer(operation["responses"])


def _refer(responses: dict[str, Any]) -> None:
    if str(responses.get("422", {})).find(_FASTAPIS_OWN[0]) >= 0:
        responses["422"] = problem_response("`errors` names each parameter at fault.")
    responses.setdefault("default", problem_response("Any other refusal: `code` and `remedy` say what it is about."))
