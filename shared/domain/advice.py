"""What is allowed and yet better done otherwise: told with the answer to a command, and written nowhere."""

from __future__ import annotations

from collections.abc import Iterator

from shared.domain import interview, relationship
from shared.domain.conversation.question_list import check_list
from shared.domain.courtesy import Wording, judged
from shared.domain.interview.decider import question_wordings
from shared.domain.kernel import Command
from shared.immutable import immutable

USUAL_MINUTES = (20, 30)
"""S0, S2, S3; career centres say the same."""


@immutable
class Advice:
    """`code` is stable, `field` a JSON pointer into the body."""

    code: str
    detail: str
    field: str


ADVICE: dict[str, str] = {
    "longer_than_usual": "More than 30 minutes are asked for.",
    "shorter_than_usual": "Less than 20 minutes are asked for.",
    "not_personalised": "The request does not say what made it personal.",
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


def advise(command: Command) -> list[Advice]:
    """What to do better next time; empty for most commands."""
    return list(_advice(command))


def _advice(command: Command) -> Iterator[Advice]:
    match command:
        case interview.SendRequest():
            yield from _on_request(command)
        case interview.FollowUp():
            yield from _on_wording([("/message", command.message)])
        case interview.SetObjectives():
            yield from _on_wording([(f"/objectives/{at}", text) for at, text in enumerate(command.objectives)])
        case interview.ChooseQuestions():
            for remark in check_list([question.text for question in command.questions], USUAL_MINUTES[1]):
                at = f"/{remark.indexes[0]}/text" if remark.indexes else ""
                yield Advice(remark.code, remark.text, f"/questions{at}")
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
            yield Advice(judgement.code or "near_job_ask", judgement.suggestion or judgement.reason or "", pointer)
        elif not judgement.judged:
            yield Advice("not_judged", judgement.reason or "", pointer)
