"""In what two JSON Schemas differ, from the point of view of those who send and those who read.

A change may make a schema *narrower*: something that was valid is not any more, which breaks senders. Or *wider*:
something that was not valid is now, which readers don't expect. Or both. Two things are neither: text for people, and
a further field that may be absent, since readers ignore fields that they don't know, unless the schema said that there
are no others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from shared.contract.json import Json

SILENT = {"title", "description", "examples", "$schema", "$id", "$defs", "discriminator", "x-personal"}
"""Keywords that no message depends on. Whom a value is about concerns who may keep it, not its form."""
_LEAST = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "x-minimum")
_MOST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties", "x-maximum")
_BELOW = {
    "$ref", "type", "enum", "const", "properties", "required", "additionalProperties", "items", "patternProperties",
    "anyOf", "oneOf", "allOf", *_LEAST, *_MOST,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference, at a place such as `/times/*/minutes`."""

    place: str
    text: str
    narrower: bool
    wider: bool


def differences(
    old: Json, new: Json, *, old_root: Json | None = None, new_root: Json | None = None
) -> list[Difference]:
    """All in which `new` differs from `old`. References are looked up in the roots: the schemas, unless given."""
    return list(_Comparison(old_root or old, new_root or new).compare(old, new, ""))


class _Comparison:
    def __init__(self, old_root: Json, new_root: Json) -> None:
        self._old_root, self._new_root = old_root, new_root
        self._under_way: set[tuple[str, str]] = set()

    def compare(self, old: Any, new: Any, place: str) -> Iterator[Difference]:
        names = _name(old), _name(new)
        if all(names):
            if names in self._under_way:
                return
            self._under_way.add(names)
        try:
            before, after = resolved(old, self._old_root), resolved(new, self._new_root)
            if "anyOf" in after and "type" not in after and "anyOf" not in before:
                before = _only_choice(old)
            elif "anyOf" in before and "type" not in before and "anyOf" not in after:
                after = _only_choice(new)
            yield from self._compare(before, after, place)
        finally:  # one difference may be all that was asked for
            self._under_way.discard(names)

    def _compare(self, old: Json, new: Json, place: str) -> Iterator[Difference]:
        if (kinds := _types(old)) != (others := _types(new)):
            yield _both(place, f"was {_said(kinds)}, is {_said(others)}")
            return
        if old.get("$ref") != new.get("$ref"):  # of another document
            yield _both(place, f"was {old.get('$ref')}, is {new.get('$ref')}")
        yield from _values(old, new, place)
        yield from _bounds(old, new, place)
        yield from self._alternatives(old, new, place)
        yield from self._fields(old, new, place)
        if "items" in old or "items" in new:
            yield from self.compare(old.get("items", {}), new.get("items", {}), f"{place}/*")
        yield from self._open_fields(old, new, place)
        for key in sorted((old.keys() | new.keys()) - SILENT - _BELOW):
            if old.get(key) != new.get(key):
                yield _both(place, f"{key} was {old.get(key)!r}, is {new.get(key)!r}")

    def _fields(self, old: Json, new: Json, place: str) -> Iterator[Difference]:
        before, after = old.get("properties", {}), new.get("properties", {})
        had_to, has_to = set(old.get("required", ())), set(new.get("required", ()))
        for name in before:
            at = f"{place}/{name}"
            if name not in after:
                yield _both(at, "was removed")
                continue
            if name in had_to - has_to:
                yield Difference(at, "may be absent now", narrower=False, wider=True)
            if name in has_to - had_to:
                yield Difference(at, "must be there now", narrower=True, wider=False)
            was, now = before[name], after[name]
            if name in had_to | has_to:
                was, now = without_default(was), without_default(now)
            yield from self.compare(was, now, at)
        closed = old.get("additionalProperties") is False
        for name in after:
            if name not in before:
                must = name in has_to
                text = f"is new{' and must be there' * must}{', where no other fields were taken' * closed}"
                yield Difference(f"{place}/{name}", text, narrower=must, wider=closed)

    def _open_fields(self, old: Json, new: Json, place: str) -> Iterator[Difference]:
        before, after = old.get("additionalProperties", True), new.get("additionalProperties", True)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from self.compare(before, after, f"{place}/*")
        elif before != after:
            narrower = after is False or (before is True and isinstance(after, dict))
            said = "refused" if after is False else "not taken of any kind" if narrower else "taken"
            yield Difference(place, f"further fields are {said} now", narrower=narrower, wider=not narrower)
        patterns, others = old.get("patternProperties", {}), new.get("patternProperties", {})
        if patterns.keys() != others.keys():
            yield _both(place, f"keys were {sorted(patterns)}, are {sorted(others)}")
            return
        for pattern in patterns:
            yield from self.compare(patterns[pattern], others[pattern], f"{place}/*")

    def _alternatives(self, old: Json, new: Json, place: str) -> Iterator[Difference]:
        """Alternatives are matched by name or kind; of those that are left, by being the same under another name."""
        for key in ("anyOf", "oneOf", "allOf"):
            before, after = list(old.get(key, ())), list(new.get(key, ()))
            for each in list(before):
                match = next((other for other in after if _identity(each) == _identity(other)), None)
                match = match or next((other for other in after if self._same(each, other)), None)
                if match is not None:
                    before.remove(each)
                    after.remove(match)
                    yield from self.compare(each, match, place)
            # One alternative more makes it wider, one demand more makes it narrower.
            demand = key == "allOf"
            said = "must be" if demand else "may be"
            for each in before:
                yield Difference(place, f"{said} {_identity(each)} no more", narrower=not demand, wider=demand)
            for each in after:
                yield Difference(place, f"{said} {_identity(each)} now", narrower=demand, wider=not demand)

    def _same(self, old: Json, new: Json) -> bool:
        return not any(each.narrower or each.wider for each in self.compare(old, new, ""))


def _values(old: Json, new: Json, place: str) -> Iterator[Difference]:
    """A constant is a set of one value; no set at all takes any."""
    before, after = _set(old), _set(new)
    if before is None or after is None:
        if before != after:
            text = "takes only certain values now" if before is None else "takes any value now"
            yield Difference(place, text, narrower=before is None, wider=after is None)
        return
    for value in before:
        if value not in after:
            yield Difference(place, f"the value {value!r} was removed", narrower=True, wider=False)
    for value in after:
        if value not in before:
            yield Difference(place, f"the value {value!r} is new", narrower=False, wider=True)


def _bounds(old: Json, new: Json, place: str) -> Iterator[Difference]:
    for key in (*_LEAST, *_MOST):
        before, after = old.get(key), new.get(key)
        if before != after:
            # Bounds of days and instants are texts, whose order is theirs: they are all written alike.
            more = after is None or (before is not None and (after < before if key in _LEAST else after > before))
            yield Difference(place, f"{key} was {before}, is {after}", narrower=not more, wider=more)


def resolved(schema: Any, root: Json) -> Json:
    """The schema itself, or what it refers to within `root`, with its own keywords on top."""
    if schema is True or schema is None:
        return {}
    found: Json = schema
    while (reference := found.get("$ref", "")).startswith("#/"):
        target: Any = root
        for part in reference[2:].split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")]
        found = {**target, **{key: value for key, value in found.items() if key != "$ref"}}
    return found


def without_default(schema: Any) -> Any:
    """For what could not be absent before, or can't be now: then nothing stood, or stands, for its absence."""
    return {key: value for key, value in schema.items() if key != "default"} if isinstance(schema, dict) else schema


def _only_choice(schema: Any) -> Json:
    """The same with its one form as an alternative, to be compared with several."""
    default = {"default": schema["default"]} if isinstance(schema, dict) and "default" in schema else {}
    return {"anyOf": [without_default(schema)], **default}


def _both(place: str, text: str) -> Difference:
    return Difference(place, text, narrower=True, wider=True)


def _types(schema: Json) -> frozenset[str]:
    kinds = schema.get("type", ())
    return frozenset([kinds] if isinstance(kinds, str) else kinds)


def _said(kinds: frozenset[str]) -> str:
    return " or ".join(sorted(kinds)) or "of several kinds"


def _set(schema: Json) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    values: list[Any] | None = schema.get("enum")
    return values


def _name(schema: Any) -> str:
    return str(schema.get("$ref", "")) if isinstance(schema, dict) else ""


def _identity(schema: Json) -> str:
    return str(schema.get("$ref") or schema.get("format") or schema.get("type") or sorted(schema))
