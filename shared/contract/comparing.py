"""What consumers and callers would notice of a change of the contract.

What breaks somebody:

- `events/`: whatever makes a payload valid that was not, or invalid that was, for recorded events are read for ever.
  All that may come is a further field that may be absent.
- `cloudevent.json`, headers, answers, replies: what readers don't expect. A field that is gone or may be absent now, a
  new value, another form; not a further field, unless the schema said that there are no others.
- `commands/`, requests, parameters: what refuses what was taken. A field that is gone or must be there now, a value
  that is gone, a tighter bound; not a further field that may be absent, a new value, a wider bound.
- AsyncAPI, OpenAPI: a server, channel, operation, message, path, parameter or successful answer that is gone, another
  address or binding, more to prove who asks; not a new one.

The way out is a new schema version of the event, with an upcaster from the old one (`shared/codec.py`), or a new
command, field or path beside the old one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from shared.contract import cloudevent_schema
from shared.contract.differences import SILENT, differences, resolved, without_default
from shared.contract.json import Json

Side = Literal["sent", "read", "both"]
"""Who is at the other end: those who send it to us, those who read it from us, or both."""

NEW_VERSION = (
    "leave this version as it is: declare the changed event with the next `version=` and add an upcaster to "
    "`UPCASTERS` in shared/codec.py"
)
KEPT = "the log holds such events for ever, and their names never change: keep the class with this type"
BESIDE = "keep what is there and add the new beside it, until nobody uses the old"
_OF_CHANNELS = ("address", "servers", "bindings", "x-arguments", "action", "channel", "reply", "security")
_OF_MESSAGES = ("name", "contentType", "correlationId", "bindings", "headers")
_HEADERS: Mapping[str, Side] = {"EventHeaders": "read", "CommandProperties": "sent"}
"""Of the schemas in AsyncAPI those that its messages share."""
_METHODS = ("get", "put", "post", "delete", "patch", "head", "options")


@dataclass(frozen=True, slots=True)
class Change:
    """One change of the contract, in words for those at the other end."""

    document: str
    text: str
    breaking: bool
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.document}: {self.text}" + (f"\n    → {self.remedy}" if self.breaking else "")


def compare(released: Mapping[str, Json], made: Mapping[str, Json]) -> list[Change]:
    """All changes from the released documents to those that the code makes, by document."""
    changes: list[Change] = []
    for path in sorted(released.keys() | made.keys()):
        if released.get(path) != made.get(path):
            changes += _compare(path, released.get(path), made.get(path))
    return changes


def _compare(path: str, old: Json | None, new: Json | None) -> Iterator[Change]:
    event = path.startswith("events/")
    if old is None or new is None:
        yield _gone_or_new(path, old, "it", KEPT if event else BESIDE)
    elif path == "asyncapi.json":
        yield from _asyncapi(path, old, new)
    elif path.startswith("openapi."):
        yield from _openapi(path, old, new)
    else:
        yield from _schema(path, "", old, new, _side(path), NEW_VERSION if event else BESIDE)


def _side(path: str) -> Side:
    if path.startswith("events/"):
        return "both"
    return "read" if path == cloudevent_schema.FILE else "sent"


def _schema(
    path: str,
    where: str,
    old: Json,
    new: Json,
    side: Side,
    remedy: str,
    roots: tuple[Json | None, Json | None] = (None, None),
) -> Iterator[Change]:
    for each in differences(old, new, old_root=roots[0], new_root=roots[1]):
        breaking = (each.narrower and side != "read") or (each.wider and side != "sent")
        yield Change(path, f"{where}{each.place or '/'} {each.text}", breaking, remedy)


def _asyncapi(path: str, old: Json, new: Json) -> Iterator[Change]:
    """Payloads of events and commands have documents of their own, to which those here refer."""
    yield from _same(path, "document", old, new, ("defaultContentType",))
    yield from _schemes(path, old, new)
    servers = old.get("servers", {})
    yield from _same(path, "servers", servers, new.get("servers", {}), sorted(servers))
    for kind in ("channels", "operations"):
        for name, before, after in _pairs(old.get(kind, {}), new.get(kind, {})):
            if before is None or after is None:
                yield _gone_or_new(path, before, f"{kind}/{name}", BESIDE)
                continue
            yield from _same(path, f"{kind}/{name}", before, after, _OF_CHANNELS)
            for message, was, now in _pairs(before.get("messages", {}), after.get("messages", {})):
                if was is None or now is None:
                    yield _gone_or_new(path, was, f"{kind}/{name}/messages/{message}", BESIDE)
    old_parts, new_parts = old["components"], new["components"]
    commands = old["channels"]["commands"]["messages"]
    for name, before, after in _pairs(old_parts["messages"], new_parts["messages"]):
        if before and after:
            yield from _same(path, f"message {name}", before, after, _OF_MESSAGES)
            payloads = before.get("payload", {}), after.get("payload", {})
            side: Side = "sent" if name in commands else "read"
            yield from _schema(path, f"message {name}: ", *payloads, side, BESIDE, (old, new))
    for name, side in _HEADERS.items():
        schemas = old_parts["schemas"][name], new_parts["schemas"].get(name, {})
        yield from _schema(path, f"schema {name}: ", *schemas, side, BESIDE, (old, new))


def _same(path: str, where: str, old: Json, new: Json, keys: Iterable[str]) -> Iterator[Change]:
    """What must stay as it is, but for text for people."""
    for key in keys:
        if (was := _bare(old.get(key))) != (now := _bare(new.get(key))):
            yield Change(path, f"{where}: {key} was {was!r}, is {now!r}", True, BESIDE)


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _bare(each) for key, each in value.items() if key not in SILENT}
    return value


def _schemes(path: str, old: Json, new: Json) -> Iterator[Change]:
    """The ways of proving who asks, to which `security` refers by name."""
    before, after = (each.get("components", {}).get("securitySchemes", {}) for each in (old, new))
    yield from _same(path, "securitySchemes", before, after, sorted(before))


def _openapi(path: str, old: Json, new: Json) -> Iterator[Change]:
    yield from _schemes(path, old, new)
    before_it, after_it = ({each["url"]: each for each in root.get("servers", ())} for root in (old, new))
    yield from _same(path, "servers", before_it, after_it, sorted(before_it))
    for name, before, after in _pairs(_operations(old), _operations(new)):
        if before is None or after is None:
            yield _gone_or_new(path, before, name, BESIDE)
            continue
        yield from _security(path, name, (before, after), (old, new))
        yield from _parameters(path, name, (before, after), (old, new))
        yield from _request(path, name, (before, after), (old, new))
        yield from _answers(path, name, (before, after), (old, new))


def _security(path: str, name: str, operations: tuple[Json, Json], roots: tuple[Json, Json]) -> Iterator[Change]:
    """Each way that is taken is enough; the empty one asks for nothing, as no way at all does."""
    before, after = (
        operation.get("security", root.get("security")) or [{}]
        for operation, root in zip(operations, roots, strict=True)
    )
    if {} not in after and any(way not in after for way in before):
        yield Change(path, f"{name}: security was {before!r}, is {after!r}", True, BESIDE)


def _parameters(path: str, name: str, operations: tuple[Json, Json], roots: tuple[Json, Json]) -> Iterator[Change]:
    before, after = (
        {
            f"{each['in']} parameter {each['name']}": each
            for each in (resolved(parameter, root) for parameter in operation.get("parameters", ()))
        }
        for operation, root in zip(operations, roots, strict=True)
    )
    for parameter, was, now in _pairs(before, after):
        if was is None:
            breaking = bool(after[parameter].get("required"))
            yield Change(path, f"{name}: {parameter} is new{' and must be given' * breaking}", breaking, BESIDE)
        elif now is None:
            yield Change(path, f"{name}: {parameter} was removed", True, BESIDE)
        else:
            if now.get("required") and not was.get("required"):
                yield Change(path, f"{name}: {parameter} must be given now", True, BESIDE)
            schemas = was.get("schema", {}), now.get("schema", {})
            if was.get("required") or now.get("required"):
                schemas = without_default(schemas[0]), without_default(schemas[1])
            yield from _schema(path, f"{name}: {parameter} ", *schemas, "sent", BESIDE, roots)


def _request(path: str, name: str, operations: tuple[Json, Json], roots: tuple[Json, Json]) -> Iterator[Change]:
    was, now = (operation.get("requestBody", {}) for operation in operations)
    if now.get("required") and not was.get("required"):
        yield Change(path, f"{name}: a body must be sent now", True, BESIDE)
    yield from _content(path, f"{name}: body", was, now, "sent", roots)


def _answers(path: str, name: str, operations: tuple[Json, Json], roots: tuple[Json, Json]) -> Iterator[Change]:
    """Of refusals only the document matters: callers handle any status, and `default` is a refusal, too."""
    before, after = (operation.get("responses", {}) for operation in operations)
    for status, was, now in _pairs(before, after):
        success, where = status < "400", f"{name}: answer {status}"
        if was is None or now is None:
            text = "is new" if was is None else "was removed"
            yield Change(path, f"{where} {text}", success and now is None, BESIDE)
            continue
        was, now = resolved(was, roots[0]), resolved(now, roots[1])
        for header, before_it in was.get("headers", {}).items():
            after_it = now.get("headers", {}).get(header)
            if after_it is None:
                yield Change(path, f"{where}: header {header} was removed", success, BESIDE)
            elif success:
                schemas = before_it.get("schema", {}), after_it.get("schema", {})
                yield from _schema(path, f"{where}: header {header} ", *schemas, "read", BESIDE, roots)
        yield from _content(path, where, was, now, "read" if success else "refused", roots)


def _content(
    path: str, where: str, old: Json, new: Json, side: Side | Literal["refused"], roots: tuple[Json, Json]
) -> Iterator[Change]:
    for media_type, was, now in _pairs(old.get("content", {}), new.get("content", {})):
        if was is None or now is None:
            text = "is new" if was is None else "was removed"
            yield Change(path, f"{where} as {media_type} {text}", now is None and side != "refused", BESIDE)
        else:
            there: Side = "read" if side == "refused" else side
            yield from _schema(path, f"{where} ", was.get("schema", {}), now.get("schema", {}), there, BESIDE, roots)


def _operations(document: Json) -> dict[str, Json]:
    return {
        f"{method.upper()} {path}": operation
        for path, item in document.get("paths", {}).items()
        for method, operation in item.items()
        if method in _METHODS
    }


def _pairs(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterable[tuple[str, Any, Any]]:
    return ((name, old.get(name), new.get(name)) for name in sorted(old.keys() | new.keys()))


def _gone_or_new(path: str, old: Any, what: str, remedy: str) -> Change:
    return Change(path, f"{what} is new" if old is None else f"{what} was removed", old is not None, remedy)
