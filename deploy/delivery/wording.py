"""A mail's words: text and HTML from the same paragraphs, by kind and stage of the notification."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime
from functools import cache
from hashlib import sha256
from html import escape
from importlib.resources import files

from shared.client import CloudEvent

Wording = Mapping[str, str]
_FOOT = "You can mute these reminders, change their times or snooze this one where you record your conversations."
_HTML = """\
<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>
<body style="font: 16px/1.5 Georgia, serif; max-width: 36em; margin: 2em auto; color: #222">
{paragraphs}
<p style="color: #777; font-size: 13px">{foot}</p>
</body></html>
"""


@cache
def wordings() -> Mapping[str, Mapping[str, Wording]]:
    """Kind → stage → subject and text."""
    return tomllib.loads(files("deploy.delivery").joinpath("mails.toml").read_text(encoding="utf-8"))


def wording(kind: str, stage: str) -> Wording | None:
    """None for a kind that this release has no words for."""
    stages = wordings().get(kind, {})
    return stages.get(stage) or stages.get("any")


def write(words: Wording, values: Mapping[str, str], greeting: str) -> tuple[str, str, str]:
    """Subject, text and HTML. What people wrote stands in `values`, and is escaped in the HTML."""
    subject = " ".join(words["subject"].format_map(values).split())
    paragraphs = [greeting, *(each.format_map(values) for each in words["text"].split("\n\n"))]
    text = "\n\n".join([*paragraphs, f"-- \n{_FOOT}"]) + "\n"
    inner = "\n".join(f"<p>{escape(each)}</p>" for each in paragraphs)
    return subject, text, _HTML.format(title=escape(subject), paragraphs=inner, foot=_FOOT)


def thanks(noted: str | None, values: Mapping[str, str]) -> str:
    """The draft of a thank-you, with what was noted worked in where there is something."""
    words = wordings()["draft"]["noted" if noted else "plain"]
    return words["text"].format_map({**values, "noted": noted or ""})


def mail(
    event: CloudEvent, key: str, *, sender: str, domain: str, to: Address, written: tuple[str, str, str]
) -> EmailMessage:
    """The same for the same notification, byte for byte, but for the boundary; so is its `Message-ID`."""
    subject, text, html = written
    message = EmailMessage(EmailPolicy())
    message["From"], message["To"], message["Subject"] = sender, to, subject
    message["Date"] = format_datetime(event.recorded_at)
    message["Message-ID"] = f"<{sha256(key.encode()).hexdigest()[:32]}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    message.add_alternative(html, subtype="html")
    return message
