"""The preparation sheet: one page to take along, as data, as HTML to print and as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from zoneinfo import ZoneInfo

from services.projector.models.preparation import SheetRow
from services.projector.queries.answering import Person
from shared.immutable import immutable

_STYLE = """
body { font: 11pt/1.45 Georgia, serif; margin: 2em auto; max-width: 42em; padding: 0 1em; color: #111; }
h1 { font-size: 1.5em; margin-bottom: 0; } h2 { font-size: 1.1em; margin: 1.2em 0 .3em; border-bottom: 1px solid #999; }
p, ol, ul { margin: .3em 0; } li { margin: .25em 0; } .facts { color: #444; }
@media print { body { margin: 0; max-width: none; } h2 { break-after: avoid; } li { break-inside: avoid; } }
"""
_MARKED = re.compile(r"([\\`*_{}\[\]<>#+\-.!|~&()])")
_FORMATS = {
    "in_person": "in person",
    "coffee": "over coffee",
    "phone": "by phone",
    "video": "by video",
    "email": "by e-mail",
}


@immutable(kw_only=True)
class Sheet(SheetRow):
    contacts: tuple[Person, ...]
    seeker: str
    introduction: str | None
    """The seeker's professional introduction."""


@dataclass(frozen=True, slots=True)
class Part:
    """A section: a paragraph each, or a list."""

    title: str
    lines: Sequence[str]
    listed: bool = False
    ordered: bool = False


def title(sheet: Sheet) -> str:
    return "Conversation with " + (", ".join(each.name or "a contact" for each in sheet.contacts) or "a contact")


def facts(sheet: Sheet) -> list[str]:
    """When, where, how long, what about: a line each."""
    found = [f"About {sheet.about} ({sheet.purpose.replace('_', ' ')})"]
    if sheet.starts_at is not None:
        local = sheet.starts_at.astimezone(_zone(sheet.time_zone))
        found.append(f"{local:%A}, {local.day} {local:%B %Y, %H:%M} ({local.tzinfo})")
    how = [_FORMATS.get(sheet.format or "", ""), f"{sheet.minutes} minutes" if sheet.minutes else ""]
    if any(how):
        found.append(", ".join(each for each in how if each))
    return [*found, sheet.place] if sheet.place else found


def parts(sheet: Sheet) -> Iterator[Part]:
    """The sections that have something in them."""
    people = [" · ".join(each for each in (p.name, p.position, p.employer) if each) for p in sheet.contacts]
    for part in (
        Part("Who", [each for each in people if each], listed=True),
        Part("The person", [sheet.person] if sheet.person else []),
        Part("The company", [sheet.company] if sheet.company else []),
        Part("The position", [sheet.position] if sheet.position else []),
        Part("The industry", [sheet.industry] if sheet.industry else []),
        Part("What I said it is for", [sheet.intent] if sheet.intent else []),
        Part("My introduction", [sheet.introduction] if sheet.introduction else []),
        Part("Objectives", sheet.objectives, listed=True),
        Part("Questions", [each.text for each in sheet.questions], listed=True, ordered=True),
        Part("In reserve", [each.text for each in sheet.reserve], listed=True),
        Part("Notes to myself", [sheet.note] if sheet.note else []),
    ):
        if part.lines:
            yield part


def to_html(sheet: Sheet) -> str:
    """A page of its own that loads nothing; everything that people wrote is escaped."""
    heading = escape(title(sheet))
    lines = "<br>".join(escape(each) for each in facts(sheet))
    body = "\n".join(_html(part) for part in parts(sheet))
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{heading}</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{heading}</h1>\n"
        f'<p class="facts">{lines}</p>\n{body}\n</body>\n</html>\n'
    )


def _html(part: Part) -> str:
    heading = f"<h2>{escape(part.title)}</h2>\n"
    if not part.listed:
        return heading + "\n".join(f"<p>{_breaks(each)}</p>" for each in part.lines)
    tag = "ol" if part.ordered else "ul"
    return f"{heading}<{tag}>\n" + "\n".join(f"<li>{_breaks(each)}</li>" for each in part.lines) + f"\n</{tag}>"


def _breaks(text: str) -> str:
    return "<br>".join(escape(line) for line in text.splitlines())


def to_markdown(sheet: Sheet) -> str:
    """CommonMark; what people wrote is escaped, so that it shows as they wrote it."""
    lines = [f"# {_marked(title(sheet))}", "", *(f"{_marked(each)}  " for each in facts(sheet))]
    for part in parts(sheet):
        lines += ["", f"## {part.title}", ""]
        for number, text in enumerate(part.lines, start=1):
            if part.listed:
                bullet = f"{number}. " if part.ordered else "- "
                lines.append(bullet + ("\n" + " " * len(bullet)).join(_marked(text).splitlines()))
            else:
                lines += ["  \n".join(_marked(text).splitlines()), ""]
    return "\n".join(lines).rstrip() + "\n"


def _marked(text: str) -> str:
    return _MARKED.sub(r"\\\1", text)


def _zone(name: str | None) -> ZoneInfo:
    """The zone of the agreed wall clock; UTC for one that this machine does not know."""
    try:
        return ZoneInfo(name or "UTC")
    except (KeyError, ValueError, OSError):
        return ZoneInfo("UTC")
