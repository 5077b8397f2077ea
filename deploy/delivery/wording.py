"""A mail's words: text and HTML from the same paragraphs, by kind and stage of the notification."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime
from functools import cache
from html import escape
from importlib.resources import files

Wording = Mapping[str, str]
_FOOT = "You can mute these reminders, change their times or snooze this one where you record your conversations."
_FOOT_OF_SEVERAL = _FOOT.replace("this one", "any of them")
_HTML = """\
<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>
<body style="font: 16px/1.5 Georgia, serif; max-width: 36em; margin: 2em auto; color: #222">
{inner}
<p style="color: #777; font-size: 13px">{foot}</p>
</body></html>
"""


@dataclass(frozen=True, slots=True)
class Piece:
    """What one notification says."""

    subject: str
    paragraphs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Written:
    subject: str
    text: str
    html: str


@cache
def wordings() -> Mapping[str, Mapping[str, Wording]]:
    """Kind → stage → subject and text."""
    return tomllib.loads(files("deploy.delivery").joinpath("mails.toml").read_text(encoding="utf-8"))


def wording(kind: str, stage: str) -> Wording | None:
    """None for a kind that this release has no words for."""
    stages = wordings().get(kind, {})
    return stages.get(stage) or stages.get("any")


def piece(words: Wording, values: Mapping[str, str]) -> Piece:
    """What people wrote stands in `values`."""
    subject = " ".join(words["subject"].format_map(values).split())
    return Piece(subject, tuple(each.format_map(values) for each in words["text"].split("\n\n")))


def write(greeting: str, pieces: Sequence[Piece]) -> Written:
    """Several pieces stand below their subjects, in their order. Whatever people wrote is escaped in the HTML."""
    several = len(pieces) > 1
    foot = _FOOT_OF_SEVERAL if several else _FOOT
    subject = pieces[0].subject
    if several:
        subject = f"{subject}, and {len(pieces) - 1} more"
    text, html = [greeting], [_p(greeting)]
    for each in pieces:
        if several:
            text.append(f"* {each.subject}")
            html.append(f'<h2 style="font-size: 17px">{escape(each.subject)}</h2>')
        text += each.paragraphs
        html += map(_p, each.paragraphs)
    text.append(f"-- \n{foot}")
    return Written(
        subject,
        "\n\n".join(text) + "\n",
        _HTML.format(title=escape(subject), inner="\n".join(html), foot=foot),
    )


def thanks(noted: str | None, values: Mapping[str, str]) -> str:
    """The draft of a thank-you, with what was noted worked in where there is something."""
    words = wordings()["draft"]["noted" if noted else "plain"]
    return words["text"].format_map({**values, "noted": noted or ""})


def mail(written: Written, id: str, *, sender: str, domain: str, to: Address, at: datetime) -> EmailMessage:
    message = EmailMessage(EmailPolicy())
    message["From"], message["To"], message["Subject"] = sender, to, written.subject
    message["Date"] = format_datetime(at)
    message["Message-ID"] = f"<{id}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(written.text)
    message.add_alternative(written.html, subtype="html")
    return message


def _p(paragraph: str) -> str:
    return f"<p>{escape(paragraph)}</p>"
