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
from shared.zones import zone

_STYLE = """
@page { margin: 12mm 16mm; }
body { font: 10.5pt/1.4 Georgia, serif; margin: 2em auto; max-width: 46em; padding: 0 1em; color: #111; }
h1 { font-size: 1.5em; margin: 0; } .facts { color: #444; margin: .2em 0 .6em; }
h2 { font-size: 1.05em; margin: .9em 0 .2em; border-bottom: 1px solid #bbb; break-after: avoid; }
p, ol, ul { margin: .2em 0; } ol, ul { padding-left: 1.8em; } li { margin: .15em 0; break-inside: avoid; }
.questions li { margin: .3em 0; } .reserve ul { columns: 2; column-gap: 2.5em; color: #333; font-size: .95em; }
@media print { body { margin: 0; max-width: none; padding: 0; font-size: 9.5pt; } }
"""
_MARKED = re.compile(r"([\\`*_{}\[\]<>#+\-.!|~&()=])")
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

    name: str
    title: str
    lines: Sequence[str]
    listed: bool = False
    ordered: bool = False


def title(sheet: Sheet) -> str:
    names = [each.name or "a contact" for each in sheet.contacts] or ["a contact"]
    *others, last = names
    return "Conversation with " + (f"{', '.join(others)} and {last}" if others else last)


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
    learned = {
        "Person": sheet.person,
        "Company": sheet.company,
        "Position": sheet.position,
        "Industry": sheet.industry,
    }
    homework = [f"{what}: {text}" for what, text in learned.items() if text]
    for part in (
        Part("who", "Who", [each for each in people if each], listed=True),
        Part("homework", "What I found out", homework, listed=True),
        Part("intent", "What I said it is for", [sheet.intent] if sheet.intent else []),
        Part("introduction", "My introduction", [sheet.introduction] if sheet.introduction else []),
        Part("objectives", "Objectives", sheet.objectives, listed=True),
        Part("questions", "Questions", [each.text for each in sheet.questions], listed=True, ordered=True),
        Part("reserve", "In reserve", [each.text for each in sheet.reserve], listed=True),
        Part("notes", "Notes to myself", [sheet.note] if sheet.note else []),
    ):
        if part.lines:
            yield part


def to_html(sheet: Sheet) -> str:
    """A page of its own that loads nothing; everything that people wrote is escaped."""
    heading = escape(title(sheet))
    lines = "<br>".join(_breaks(each) for each in facts(sheet))
    body = "\n".join(_html(part) for part in parts(sheet))
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{heading}</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{heading}</h1>\n"
        f'<p class="facts">{lines}</p>\n{body}\n</body>\n</html>\n'
    )


def _html(part: Part) -> str:
    heading = f"<h2>{escape(part.title)}</h2>"
    if part.listed:
        tag = "ol" if part.ordered else "ul"
        lines = [f"<{tag}>", *(f"<li>{_breaks(each)}</li>" for each in part.lines), f"</{tag}>"]
    else:
        lines = [f"<p>{_breaks(each)}</p>" for each in part.lines]
    return "\n".join([f'<section class="{part.name}">', heading, *lines, "</section>"])


def _breaks(text: str) -> str:
    return "<br>".join(escape(line) for line in text.splitlines())


def to_markdown(sheet: Sheet) -> str:
    """CommonMark; what people wrote is escaped, so that it shows as they wrote it."""
    told = (line for each in facts(sheet) for line in _marked(each))
    lines = [f"# {' '.join(_marked(title(sheet)))}", "", *(f"{line}  " for line in told)]
    for part in parts(sheet):
        lines += ["", f"## {part.title}", ""]
        for number, text in enumerate(part.lines, start=1):
            if part.listed:
                bullet = f"{number}. " if part.ordered else "- "
                lines.append(bullet + ("\n" + " " * len(bullet)).join(_marked(text)))
            else:
                lines += ["  \n".join(_marked(text)), ""]
    return "\n".join(lines).rstrip() + "\n"


def _marked(text: str) -> list[str]:
    """Its lines, escaped, and without the blanks before them, which would make code of them."""
    return [_MARKED.sub(r"\\\1", line.lstrip(" \t")) for line in text.splitlines()]


def _zone(name: str | None) -> ZoneInfo:
    """The zone of the agreed wall clock; UTC for one that is not known."""
    return zone(name or "UTC") or ZoneInfo("UTC")
