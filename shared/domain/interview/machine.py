"""How an interview stands, and what may follow in each state."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from shared.domain.interview import commands as c
from shared.domain.interview import events as e
from shared.domain.kernel import NEW, Command, Event, Machine, Move
from shared.immutable import immutable
from shared.replacing import replace

AGREED = {"accepted", "agreed_loosely", "times_offered"}
"""The contact said yes, and no time is fixed. An e-mail interview needs none."""
FIXED = {"scheduled", "confirmed"}
STANDING = {*FIXED, "started"}
"""The appointment stands: who has dialled in, or sat down, may still wait in vain or be put off."""
AHEAD = {"planned", "requested", *AGREED, *FIXED}

_ACCEPT = "record their yes with interview.accept first"
_NEW_TIME = "record the new time with interview.reschedule"
_CANCEL = "call the appointment off with interview.cancel"
_HOLD = "record interview.hold first, with occurred_at if it was not just now"
_FELL_THROUGH = ("cancelled", "missed")
_CAME_TO_NOTHING = ("lapsed", "declined")
_NO_YES = ("requested", *_CAME_TO_NOTHING)

LEADS_ON: dict[type[Event], dict[str, str]] = {
    e.Accepted: dict.fromkeys(_FELL_THROUGH, f"{_NEW_TIME}, or interview.agree_loosely where there is none yet"),
    e.AgreedLoosely: {
        **dict.fromkeys(_CAME_TO_NOTHING, _ACCEPT),
        **dict.fromkeys(STANDING, f"{_NEW_TIME}; where there is none yet, {_CANCEL} first"),
    },
    e.Declined: dict.fromkeys(STANDING, _CANCEL),
    e.Lapsed: dict.fromkeys(STANDING, f"{_CANCEL}, or record interview.miss"),
    e.TimesOffered: {**dict.fromkeys(_NO_YES, _ACCEPT), **dict.fromkeys(STANDING, _NEW_TIME)},
    e.Scheduled: {
        **dict.fromkeys(_NO_YES, _ACCEPT),
        **dict.fromkeys(STANDING, _NEW_TIME),
        **dict.fromkeys(_FELL_THROUGH, f"{_NEW_TIME}, or interview.agree_loosely first where none was agreed before"),
    },
    e.Rescheduled: {
        **dict.fromkeys(_NO_YES, _ACCEPT),
        **dict.fromkeys(AGREED, "record the first time with interview.schedule"),
    },
    e.Held: {
        **dict.fromkeys(_NO_YES, _ACCEPT),
        **dict.fromkeys(_FELL_THROUGH, "record interview.reschedule first, with the time at which you talked"),
    },
    e.NotesTaken: dict.fromkeys({*AGREED, *FIXED}, _HOLD),
    e.ReflectionRecorded: dict.fromkeys({*AGREED, *STANDING}, _HOLD),
    e.Thanked: dict.fromkeys({*AGREED, *STANDING}, _HOLD),
}
"""By which commands one gets on where an event is often tried and can't follow."""

EVENT_OF: dict[type[Command], type[e.InterviewEvent]] = {
    c.Plan: e.Planned,
    c.SendRequest: e.RequestSent,
    c.FollowUp: e.RequestFollowedUp,
    c.Accept: e.Accepted,
    c.Decline: e.Declined,
    c.DropOut: e.DroppedOut,
    c.Lapse: e.Lapsed,
    c.Reschedule: e.Rescheduled,
    c.AgreeLoosely: e.AgreedLoosely,
    c.OfferTimes: e.TimesOffered,
    c.Schedule: e.Scheduled,
    c.Confirm: e.Confirmed,
    c.Cancel: e.Cancelled,
    c.RecordResearch: e.ResearchRecorded,
    c.SetObjectives: e.ObjectivesSet,
    c.ChooseQuestions: e.QuestionsChosen,
    c.Prepare: e.Prepared,
    c.Start: e.Started,
    c.Hold: e.Held,
    c.Miss: e.Missed,
    c.TakeNotes: e.NotesTaken,
    c.RecordReflection: e.ReflectionRecorded,
    c.Thank: e.Thanked,
}
"""Of several ways that are equally short, a refusal names the first."""

MACHINE = Machine(
    "interview",
    {
        e.Planned: Move({NEW}, "planned"),
        e.RequestSent: Move({"planned"}, "requested"),
        e.RequestFollowedUp: Move({"requested"}),
        e.Accepted: Move({"requested", "lapsed", "declined"}, "accepted"),
        e.Declined: Move({"requested", "lapsed", *AGREED, "missed", "cancelled"}, "declined"),
        e.DroppedOut: Move({*AHEAD, "started", "lapsed", "missed", "cancelled"}),
        e.Lapsed: Move({"requested", *AGREED, "missed", "cancelled"}, "lapsed"),
        e.AgreedLoosely: Move({"requested", *AGREED, "missed", "cancelled"}, "agreed_loosely"),
        e.TimesOffered: Move({*AGREED, "missed", "cancelled"}, "times_offered"),
        e.Scheduled: Move(AGREED, "scheduled"),
        e.Rescheduled: Move({*STANDING, "missed", "cancelled"}, "scheduled"),
        e.Confirmed: Move({"scheduled"}, "confirmed"),
        e.Cancelled: Move({*AHEAD, "started", "missed"}, "cancelled"),
        e.ResearchRecorded: Move({*AHEAD, "started"}),
        e.ObjectivesSet: Move({*AHEAD, "started"}),
        e.QuestionsChosen: Move({*AHEAD, "started"}),
        e.Prepared: Move({*AGREED, *FIXED}),
        e.Started: Move(FIXED, "started"),
        e.Held: Move({*AGREED, *STANDING}, "held"),
        e.Missed: Move(STANDING, "missed"),
        e.NotesTaken: Move({"started", "held", "thanked"}),
        e.ReflectionRecorded: Move({"held", "thanked"}),
        e.Thanked: Move({"held", "thanked"}, "thanked"),
    },
    commands=EVENT_OF,
    setbacks={*_FELL_THROUGH, *_CAME_TO_NOTHING},
    leads_on=LEADS_ON,
)

NOBODY = UUID(int=0)


@immutable
class State:
    status: str = NEW
    seeker_id: UUID = NOBODY
    contact_ids: tuple[UUID, ...] = ()
    former_ids: tuple[UUID, ...] = ()
    """Contacts who dropped out."""
    lead_id: UUID | None = None
    """The lead that it follows up."""
    format: str | None = None
    minutes: int | None = None
    """Asked for, then agreed on."""
    follow_ups: int = 0
    asked: bool = False
    accepted: bool = False
    starts_at: datetime | None = None
    """Of the appointment that stands, or fell through last; none once they talk about another time, or by e-mail."""
    appointment: e.Scheduled | e.Rescheduled | None = None
    offered_by: str | None = None
    """Who offered times last."""
    prepared: bool = False
    reflected: bool = False
    thanked: frozenset[UUID] = frozenset()
    let_down_by: str | None = None
    """Who cancelled or missed it last."""
    gave_back: bool = False
    """Whether the seeker has called it off in time, so that the contacts' places were given back."""

    @property
    def unthanked(self) -> tuple[UUID, ...]:
        return tuple(each for each in self.contact_ids if each not in self.thanked)


def evolve(state: State | None, event: Event) -> State:
    state = state or State()
    missed = state.status == "missed"
    state = replace(state, status=MACHINE.next(state.status, event))
    match event:
        case e.Planned():
            return replace(
                state,
                seeker_id=event.seeker_id,
                contact_ids=event.contact_ids,
                lead_id=event.lead_id,
                format=event.format,
            )
        case e.RequestSent():
            return replace(state, asked=True, minutes=event.minutes, format=event.format or state.format)
        case e.RequestFollowedUp():
            return replace(state, follow_ups=event.number)
        case e.DroppedOut():
            former = (*state.former_ids, *event.dropped_ids)
            return replace(state, contact_ids=without(state.contact_ids, event), former_ids=former)
        case e.Accepted() | e.AgreedLoosely():
            return replace(state, accepted=True, format=event.format or state.format, starts_at=None)
        case e.TimesOffered():
            return replace(state, starts_at=None, offered_by=event.by, gave_back=False)
        case e.Scheduled() | e.Rescheduled():
            return replace(
                state,
                appointment=event,
                starts_at=event.starts_at,
                minutes=event.minutes,
                format=event.format,
                let_down_by=None,
                gave_back=False,
            )
        case e.Cancelled():
            gave_back = event.by == "seeker" and event.asked and not (event.late or missed)
            # Where somebody had stayed away, that has settled who let whom down.
            return replace(state, let_down_by=state.let_down_by if missed else event.by, gave_back=gave_back)
        case e.Missed():
            return replace(state, let_down_by=event.by, gave_back=False)
        case e.Prepared():
            return replace(state, prepared=True)
        case e.Held():
            return replace(state, format=event.format)
        case e.ReflectionRecorded():
            return replace(state, reflected=True)
        case e.Thanked():
            return replace(state, thanked=state.thanked | set(event.thanked_ids))
        case _:
            return state


def without(contact_ids: tuple[UUID, ...], event: e.DroppedOut) -> tuple[UUID, ...]:
    """Who takes part from then on."""
    return tuple(each for each in contact_ids if each not in event.dropped_ids)


def next_move(state: State) -> str | None:
    """The next polite move, a key of `moves.MOVES`."""
    match state.status:
        case "planned":
            return "send_request"
        case "requested":
            return "follow_up" if state.follow_ups < 2 else "let_it_rest"
        case "accepted" | "agreed_loosely" if state.format == "email":
            return "send_questions" if state.prepared else "prepare"
        case "accepted" | "agreed_loosely":
            return "agree_time"
        case "times_offered":
            return "await_choice" if state.offered_by == "seeker" else "take_offered_time"
        case "scheduled":
            return "confirm" if state.prepared else "prepare"
        case "confirmed":
            return "meet" if state.prepared else "prepare"
        case "started":
            return "record_conversation"
        case "held" | "thanked" if state.unthanked:
            return "thank"
        case "held" | "thanked":
            return None if state.reflected else "reflect"
        case "cancelled" if not state.accepted:
            return "let_it_rest"
        case "cancelled" | "missed":
            return "apologise" if state.let_down_by == "seeker" else "offer_new_time"
        case "declined" | "lapsed":
            return "let_it_rest"
        case _:
            return None
