"""What is allowed and yet better done otherwise: told with the answer to a command, and written nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from shared.domain import interview, relationship, seeker
from shared.domain.conversation.question_list import check_list
from shared.domain.courtesy import Wording, instead, judged
from shared.domain.interview.decider import question_wordings
from shared.domain.kernel import Command
from shared.domain.occurrence import is_over
from shared.immutable import immutable
from shared.timing.calendar import COUNTRIES

USUAL_MINUTES = (20, 30)
"""S0, S2, S3; career centres say the same."""
FAR_AHEAD = timedelta(days=366)
"""Nobody fixes a conversation further ahead: it is the year that was mistyped."""


@immutable
class Advice:
    """`code` is stable, `field` a JSON pointer into the body; empty: the whole of it."""

    code: str
    detail: str
    field: str


ADVICE: dict[str, str] = {
    "longer_than_usual": "More than 30 minutes are asked for.",
    "shorter_than_usual": "Less than 20 minutes are asked for.",
    "not_personalised": "The request does not say what made it personal.",
    "in_the_past": "A time that is agreed on, or offered, is past.",
    "far_ahead": "A time or day that is agreed on, or offered, is more than a year ahead.",
    "goal_date_is_past": "The day by which a goal is to be reached is over.",
    "holidays_not_known": "For the country no public holidays are known.",
    "the_seeker_yields": "The seeker asks for another time.",
    "connector_is_no_contact": "Who introduces is only named, and is no contact.",
    "too_few": "Fewer questions are chosen than half an hour needs.",
    "too_many": "More questions are chosen than fit into half an hour.",
    "duplicate": "A question asks again what was asked before.",
    "no_closing_question": "No question asks whom else to talk to.",
    "typical_pay": "A question is about what a field pays.",
    "near_job_ask": "A text comes close to asking for a job.",
    "not_judged": "A text could not be judged, such as one in another language than English.",
}
"""Code → when it is given."""


def advise(command: Command, at: datetime) -> list[Advice]:
    """What to do better next time; empty for most commands. `at` is when it happened."""
    return [*_advice(command), *_on_times(command, at)]


def _advice(command: Command) -> Iterator[Advice]:
    match command:
        case interview.SendRequest():
            yield from _on_request(command)
        case interview.FollowUp():
            yield from _on_wording([("/message", command.message)])
        case interview.SetObjectives():
            yield from _on_wording([(f"/objectives/{number}", text) for number, text in enumerate(command.objectives)])
        case interview.ChooseQuestions():
            for remark in check_list([question.text for question in command.questions], USUAL_MINUTES[1]):
                where = f"/{remark.indexes[0]}/text" if remark.indexes else ""
                yield Advice(remark.code, remark.text, f"/questions{where}")
            yield from _on_wording(list(question_wordings(command)))
        case interview.Reschedule() if command.asked_by == "seeker":
            yield Advice(
                "the_seeker_yields", "Their time is the scarce thing: rather move your own plans.", "/asked_by"
            )
        case relationship.RequestIntroduction() | relationship.RecordIntroduction() if (
            command.connector is not None and command.connector_id is None
        ):
            yield Advice(
                "connector_is_no_contact",
                "Add them as a contact and give connector_id: then you are reminded to thank them once you have met.",
                "/connector",
            )


def _on_times(command: Command, at: datetime) -> Iterator[Advice]:
    """On what is valid and most likely mistyped: nothing would come of it, or at the wrong time."""
    match command:
        case interview.Schedule() | interview.Reschedule():
            yield from _on_time(command.starts_at, at, "/starts_at")
        case interview.OfferTimes():
            for number, offered in enumerate(command.times):
                yield from _on_time(offered.starts_at, at, f"/times/{number}/starts_at")
        case interview.AgreeLoosely():
            if command.not_before is not None and command.not_before > (at + FAR_AHEAD).date():
                yield _far_ahead("/not_before")
    goal_date = command.goal_date if isinstance(command, seeker.Register | seeker.ChangeGoals) else None
    if goal_date is not None and is_over(goal_date, at):
        yield Advice("goal_date_is_past", f"{goal_date} is over: nothing will remind of it.", "/goal_date")
    country = command.country if isinstance(command, seeker.Register | seeker.Relocate) else None
    if country is not None and country not in COUNTRIES:
        told = f"No public holidays are known for {country}: working days are counted without them."
        yield Advice("holidays_not_known", told, "/country")


def _on_time(starts_at: datetime, at: datetime, field: str) -> Iterator[Advice]:
    if starts_at < at:
        told = "It is past: if this is written up late, say by occurred_at when it was agreed; else correct it."
        yield Advice("in_the_past", told, field)
    elif starts_at > at + FAR_AHEAD:
        yield _far_ahead(field)


def _far_ahead(field: str) -> Advice:
    return Advice("far_ahead", "It is more than a year ahead: is it the right year?", field)


def _on_request(command: interview.SendRequest) -> Iterator[Advice]:
    shortest, longest = USUAL_MINUTES
    if command.minutes > longest:
        yield Advice(
            "longer_than_usual", f"Ask for {shortest} to {longest} minutes: it is easier to grant.", "/minutes"
        )
    elif command.minutes < shortest:
        yield Advice(
            "shorter_than_usual",
            f"{command.minutes} minutes are soon over: {shortest} are no larger a favour.",
            "/minutes",
        )
    if command.personalised_by is None:
        yield Advice("not_personalised", "Say why you ask them and nobody else.", "/personalised_by")
    yield from _on_wording([("/intent", command.intent), ("/message", command.message)])


def _on_wording(wordings: list[Wording]) -> Iterator[Advice]:
    for pointer, judgement in judged(wordings):
        if judgement.verdict == "warn":
            yield Advice(
                judgement.code or "near_job_ask", instead(pointer, judgement) or judgement.reason or "", pointer
            )
        elif not judgement.judged:
            yield Advice("not_judged", judgement.reason or "", pointer)
