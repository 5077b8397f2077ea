"""Every refusal of the domain: its stable code, when it comes, and what would be right.

The codes are part of the contract; the documentation is generated from this table. `refusal(code, …)` makes one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shared.domain.kernel import Refusal

Kind = Literal["conflict", "invalid", "missing"]


@dataclass(frozen=True, slots=True)
class Rule:
    kind: Kind
    when: str
    remedy: str
    """May name words in braces that `refusal` fills in."""


_REPHRASE = "{suggestion}"

REFUSALS: dict[str, Rule] = {
    # Order of things (rule 1)
    "out_of_order": Rule(
        "conflict",
        "The event can't follow in the present state.",
        "the answer names the states in which it may, and the commands that lead there, or says that it is past that",
    ),
    "already_exists": Rule(
        "conflict",
        "The stream that the command would create is there.",
        "use a new id, or repeat the first command with its own Idempotency-Key to get its answer",
    ),
    "already_done": Rule(
        "conflict", "It has been recorded before and happens once.", "{what} needs no repetition: leave it"
    ),
    "already_thanked": Rule(
        "conflict",
        "A contact is thanked for the same conversation again.",
        "record further thanks, such as a card after the e-mail, with relationship.record_touchpoint, kind thanks; or "
        "name only who was not thanked yet",
    ),
    "nothing_changes": Rule(
        "conflict", "The command would change nothing.", "send what is to be different, or nothing at all"
    ),
    "held_before_scheduled": Rule(
        "conflict",
        "A conversation is recorded as held that was never scheduled, and it was not by e-mail.",
        "record interview.schedule with the agreed time first; only an e-mail interview has none",
    ),
    "never_accepted": Rule(
        "conflict",
        "An answer or a new time is recorded for an interview called off before it was asked for, or accepted.",
        "plan a new interview and ask again; or, where the contact had been asked and says yes after all, record "
        "interview.lapse, then interview.accept",
    ),
    "nobody_left": Rule(
        "invalid",
        "Every contact of the interview would have dropped out of it.",
        "record interview.decline, interview.cancel or interview.miss, which are about all of them",
    ),
    "never_scheduled": Rule(
        "conflict",
        "An interview is rescheduled that had no time yet.",
        "record interview.agree_loosely or interview.offer_times, then interview.schedule",
    ),
    # Things that must be there
    "unknown_seeker": Rule("missing", "No seeker has this id.", "register the seeker first, or correct the id"),
    "unknown_contact": Rule("missing", "No contact has this id.", "add the contact first, or correct the id"),
    "unknown_introduction": Rule(
        "missing", "No introduction was asked for.", "record relationship.request_introduction first"
    ),
    "unknown_interview": Rule("missing", "No interview has this id.", "plan the interview first, or correct the id"),
    "unknown_lead": Rule("missing", "No lead has this id.", "record the lead first, or correct the id"),
    "unknown_programme": Rule("missing", "No programme has this id.", "create the programme first, or correct the id"),
    "unknown_coach": Rule(
        "missing", "The programme has no such coach.", "assign the coach with programme.assign_coach first"
    ),
    "not_a_participant": Rule(
        "missing", "The seeker is not enrolled in the programme.", "enrol the seeker with programme.enrol_participant"
    ),
    "unknown_notification": Rule(
        "missing", "No notification has this id.", "correct the id; notifications fall due by themselves"
    ),
    "unknown_match": Rule(
        "missing", "No match of the two was proposed.", "propose it with programme.propose_match first"
    ),
    "seeker_left": Rule("conflict", "The seeker has left.", "record seeker.return first, if they take part again"),
    "contact_forgotten": Rule(
        "conflict",
        "The contact's personal data were erased.",
        "nothing more can be asked of them or recorded about them",
    ),
    # Who belongs to what
    "wrong_relationship": Rule(
        "invalid",
        "The relationship's id is not the one of its seeker and contact.",
        "send it to {id}, the relationship of this seeker and this contact",
    ),
    "not_a_contact_of_this_interview": Rule(
        "invalid", "The contact takes no part in the interview.", "name contacts of the interview only"
    ),
    "not_of_this_seeker": Rule(
        "invalid", "The interview or lead belongs to another seeker.", "name one of the same seeker"
    ),
    "named_twice": Rule("invalid", "The same contact is named more than once.", "name each contact once"),
    "own_introducer": Rule(
        "invalid", "A contact is named as having introduced themselves.", "name the connector, or none"
    ),
    "no_connector": Rule(
        "invalid",
        "An introduction is asked for without saying of whom.",
        "give connector_id, or the connector's name where it is not a contact",
    ),
    "not_for_this_kind": Rule(
        "invalid", "A field does not go with the kind of lead.", "leave {name} out, or choose the kind it belongs to"
    ),
    "field_of_neither": Rule(
        "conflict",
        "A match is proposed in a field that neither the participant aspires to nor the contact works in, as far as "
        "both have named some.",
        "name a field of one of them, or none; or bring theirs up to date first with seeker.change_goals or "
        "contact.correct_details",
    ),
    # Times (rule 6)
    "in_the_future": Rule(
        "invalid",
        "It is said to have happened more than five minutes from now.",
        "send it when it has happened, with occurred_at in the past or absent",
    ),
    "too_long_ago": Rule("invalid", "It is said to have happened before 1900.", "correct occurred_at"),
    "before_it_began": Rule(
        "conflict",
        "It is said to have happened before the conversation was to begin.",
        "correct occurred_at, or record the real time with interview.reschedule first",
    ),
    "already_over": Rule(
        "invalid", "It is to last until a moment that is past.", "give a moment after the command's own time"
    ),
    # Notifications
    "unsound_override": Rule(
        "invalid",
        "A preference names a policy, stage or setting that there is not, or a value that is out of its bounds or does "
        "not go with the tenant's.",
        "correct what the detail names, or leave it out; the policies are: {policies}",
    ),
    # It is not a job interview (rule 3)
    "asks_for_job": Rule("invalid", "A question, request or agenda item asks to be hired or put forward.", _REPHRASE),
    "asks_to_find_job": Rule("invalid", "A question, request or agenda item asks to be found a job.", _REPHRASE),
    "asks_own_pay": Rule("invalid", "A question, request or agenda item asks what the contact earns.", _REPHRASE),
    # The contact's time (rule 4)
    "contact_asked_not_to_be_contacted": Rule(
        "conflict", "The contact asked not to be contacted.", "leave them in peace; ask somebody else"
    ),
    "contact_at_capacity": Rule(
        "conflict",
        "The contact has had as many requests this month as they are willing to get.",
        "ask in another month, or ask somebody else",
    ),
    "request_already_open": Rule(
        "conflict",
        "Another request of the same seeker to the same contact is open.",
        "carry on with interview {interview_id}, or close it: once its time has come with interview.hold or "
        "interview.miss, a time that is ahead with interview.cancel, else with interview.decline or interview.lapse",
    ),
    "enough_follow_ups": Rule(
        "conflict",
        "A silent request was followed up twice already.",
        "let it rest: record interview.lapse, and ask somebody else",
    ),
    # Writing (raised while loading)
    "id_in_use": Rule(
        "conflict", "The id is that of a stream of another category.", "give it an id of its own, or correct the id"
    ),
}


def refusal(code: str, detail: str, *, field: str | None = None, **words: object) -> Refusal:
    """The refusal of that code; `words` fill the braces of its remedy, `field` is a JSON pointer into the body."""
    rule = REFUSALS[code]
    return Refusal(code, detail, remedy=rule.remedy.format(**words), field=field, kind=rule.kind)
