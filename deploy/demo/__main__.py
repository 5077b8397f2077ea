"""``python -m deploy.demo``: play the story against services that run, and show what happened.

Reads KITHLOG_COMMAND_URL, KITHLOG_PROJECTOR_URL and KITHLOG_AMQP_URL. Exit code 0 when everything fell due once and
was seen; 1 with the reason otherwise.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from rich.markup import escape

from deploy.delivery.mailbox import Mailbox, readable
from deploy.demo import story as told
from deploy.demo import telling
from deploy.demo.consumer import Heard, listening
from deploy.demo.mails import mailing
from deploy.demo.platform import PATIENCE, InVain, NotAccepted, Platform
from deploy.demo.story import Story

FELL_DUE = {"due", "delivered", "acknowledged"}
AWAITED = {("thank_you", "due"), ("keep_in_touch", "due")}
NEEDLESS = {("thank_you", "overdue"), ("thank_you", "last_call"), ("keep_in_touch", "again")}
_ZONES = (
    "Pacific/Auckland", "Australia/Brisbane", "Asia/Tokyo", "Asia/Kolkata", "Asia/Dubai", "Europe/Lisbon",
    "America/Sao_Paulo", "America/Bogota", "America/Phoenix", "Pacific/Honolulu",
)  # fmt: skip


def a_zone_where_it_is_afternoon(now: datetime) -> str:
    """Reminders keep to waking hours; so that they fall due while the demo is watched, Maya lives where it is day."""
    return min(_ZONES, key=lambda zone: abs(_hour(now, zone) - 15.5))


def _hour(now: datetime, zone: str) -> float:
    local = now.astimezone(ZoneInfo(zone))
    return local.hour + local.minute / 60


def _stages(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Kind and stage of all that the events are about; a withdrawal may end several stages."""
    data = [event["data"] for event in events]
    return [(each["kind"], stage["stage"]) for each in data for stage in (each, *each.get("others", ()))]


def _missing(wanted: set[tuple[str, str]], events: list[dict[str, Any]]) -> str:
    """The stages that no event is about, by name; empty when there are none."""
    return ", ".join(sorted(f"{kind}/{stage}" for kind, stage in wanted - set(_stages(events))))


async def tell_the_past(platform: Platform, story: Story) -> None:
    telling.chapter("The last weeks until today, as the platform writes them up (one import)")
    steps = list(told.weeks_before(story))
    for step in steps:
        telling.tell(step, story.zone)
    await platform.write_up(steps)


async def tell_today(platform: Platform, story: Story) -> None:
    telling.chapter("What the conversation gave, command by command")
    for step in told.today(story):
        telling.tell(step, story.zone)
        await platform.do(step)


async def hear_what_is_due(heard: Heard, story: Story) -> None:
    """Raises `InVain`."""
    telling.chapter("What falls due now, as a consumer of the exchange receives it")
    telling.console.print(
        f"  [dim]the thank-you two hours after the conversation, in about {told.THANK_YOU_IN} s;"
        f" a word to Ruth thirty days after she was thanked, in about {told.KEEP_IN_TOUCH_IN} s[/]"
    )
    printed = 0

    def show() -> bool:
        nonlocal printed
        for event in heard.due[printed:]:
            telling.received(event, story.zone)
        printed = len(heard.due)
        return not _missing(AWAITED, heard.due)

    if not await heard.until(show, seconds=PATIENCE):
        raise InVain(f"{_missing(AWAITED, heard.due)} did not fall due")


async def hear_of_the_mails(heard: Heard) -> None:
    """Raises `InVain`."""

    def missing() -> str:
        return _missing(AWAITED, [event for event in heard.due if event["subject"] in heard.delivered])

    if not await heard.until(lambda: not missing(), seconds=PATIENCE):
        raise InVain(f"{missing()} was not mailed")


async def answer_the_reminders(platform: Platform, heard: Heard, story: Story) -> None:
    """Raises `InVain`, `NotAccepted`."""
    telling.chapter("Maya answers, and what was still to come is withdrawn")
    before = len(heard.withdrawn)
    for step in told.after_the_reminders(story):
        telling.tell(step, story.zone)
        await platform.do(step)
    silenced = await heard.until(lambda: not _missing(NEEDLESS, heard.withdrawn[before:]), seconds=PATIENCE)
    for event in heard.withdrawn[before:]:
        telling.received(event, story.zone)
    if not silenced:
        raise InVain(f"{_missing(NEEDLESS, heard.withdrawn[before:])} was not withdrawn")


async def ask_for_a_job(platform: Platform, story: Story) -> bool:
    telling.chapter("It is not a job interview")
    step = told.not_a_job_interview(story)
    answer = await platform.send(step)
    if answer.is_success:
        return False
    telling.refused(step, answer.json())
    return True


async def show_what_is_there(platform: Platform, story: Story) -> None:
    telling.chapter("What the read models say")
    seeker, zone = story.seeker, story.zone
    pipeline = await platform.ask(f"/seekers/{seeker}/pipeline")
    telling.table(
        "Pipeline: where each conversation stands",
        ("with", "about", "status", "last moved", "next polite move"),
        (
            (", ".join(each["name"] or "?" for each in row["contacts"]), row["about"], row["status"],
             telling.moment(row["moved_at"], zone), row["next_move_says"])
            for row in pipeline["items"]
        ),
    )  # fmt: skip
    timeline = await platform.ask(f"/seekers/{seeker}/timeline/{story.agency_contact}")
    telling.table(
        "Timeline: all that passed between Maya and Theo, newest first",
        ("when", "what"),
        ((telling.moment(entry["occurred_at"], zone), entry["type"]) for entry in timeline["items"]),
    )
    notifications = await platform.ask(f"/seekers/{seeker}/notifications", limit=200)
    fell_due = [row for row in notifications["items"] if row["state"] in FELL_DUE]
    telling.table(
        "What fell due, and why",
        ("notification", "when", "armed by"),
        ((f"{row['kind']}/{row['stage']}", telling.moment(row["due_at"], zone), row["armed_by"]) for row in fell_due),
    )
    telling.table(
        "What did not, and why",
        ("notification", "stages", "state", "because of"),
        (
            (kind, ", ".join(dict.fromkeys(stages)), state, because)
            for (kind, state, because), stages in _by_reason(notifications["items"]).items()
        ),
    )
    ahead = await platform.ask(f"/seekers/{seeker}/schedule", limit=6)
    telling.table(
        "What will fall due next",
        ("notification", "when"),
        ((f"{row['kind']}/{row['stage']}", telling.moment(row["due_at"], zone)) for row in ahead["items"]),
    )


def show_the_mails(mailbox: Mailbox) -> None:
    telling.chapter("The mails that the delivery example sent meanwhile")
    for mail in mailbox.mails:
        telling.mail(readable(mail))


def _by_reason(rows: list[dict[str, Any]]) -> dict[tuple[str, str, str], list[str]]:
    """The stages of what nobody was told, by kind, state and reason."""
    reasons: dict[tuple[str, str, str], list[str]] = {}
    for row in reversed(rows):
        if row["state"] not in FELL_DUE:
            reasons.setdefault((row["kind"], row["state"], row["because"]), []).append(row["stage"])
    return reasons


async def main() -> int:
    now = datetime.now(UTC)
    story = Story(run=uuid4(), now=now, zone=a_zone_where_it_is_afternoon(now))
    tenant = f"demo-{story.run.hex[:8]}"
    environment = os.environ
    async with (
        listening(environment["KITHLOG_AMQP_URL"], tenant) as heard,
        Platform(
            environment["KITHLOG_COMMAND_URL"], environment["KITHLOG_PROJECTOR_URL"], tenant, story.run
        ) as platform,
        mailing(tenant) as mailbox,
    ):
        try:
            await tell_the_past(platform, story)
            await tell_today(platform, story)
            await hear_what_is_due(heard, story)
            await hear_of_the_mails(heard)
            await answer_the_reminders(platform, heard, story)
            if not await ask_for_a_job(platform, story):
                telling.console.print("[bold red]A list that asks for a job was taken.[/]")
                return 1
            await show_what_is_there(platform, story)
        except NotAccepted as refusal:
            telling.console.print(f"[bold red]The story can't go on:[/] {escape(str(refusal))}")
            return 1
        except InVain as missing:
            telling.console.print(f"[bold red]Within {PATIENCE:g} s {missing}.[/]")
            for state in await platform.states():
                telling.console.print(f"  {state}", markup=False)
            return 1
        show_the_mails(mailbox)
        twice = [stage for stage in AWAITED if _stages(heard.due).count(stage) != 1]
        if twice:
            telling.console.print(f"[bold red]Not exactly once: {twice}[/]")
            return 1
    telling.console.print("\n[bold green]Everything that was promised was reminded of, once.[/]")
    return 0


async def play() -> int:
    """The story until it ends, or until SIGTERM: then what it has declared with the broker is removed, too."""
    story, ended = asyncio.create_task(main()), False

    def end() -> None:
        nonlocal ended
        if not story.cancelling():  # another signal would cut the removal short
            ended = story.cancel()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end)
    try:
        return await story
    except asyncio.CancelledError:
        if not ended:
            raise
        return 128 + signal.SIGTERM


if __name__ == "__main__":
    sys.exit(asyncio.run(play()))
