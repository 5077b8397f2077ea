"""The next polite move (rule 5), as each category's `next_move(state)` names it."""

MOVES: dict[str, str] = {
    "write_introduction": "Write the professional introduction that you will be asked for.",
    "send_request": "Send the request: say what you want to learn, and how little time it takes.",
    "follow_up": "Follow up kindly if a week has passed without an answer.",
    "let_it_rest": "Let the request rest, and ask somebody else.",
    "agree_time": "Agree on a time that suits them.",
    "take_offered_time": "Take one of the times that they offer.",
    "await_choice": "They have your times: let them choose.",
    "send_questions": "Send your questions.",
    "prepare": "Prepare: research, objectives, about ten questions.",
    "confirm": "Confirm the appointment.",
    "meet": "Be on time, and end on time.",
    "record_conversation": "Record how it went.",
    "thank": "Thank them.",
    "reflect": "Write down what you learned.",
    "offer_new_time": "Offer them a new time that suits them.",
    "apologise": "Send a note of apology, and leave a new time to them.",
    "await_introduction": "Give the connector time to introduce you.",
    "ask_other_connector": "Thank the connector all the same, and ask somebody else.",
    "write_to_contact": "Thank the connector, and write to your new contact.",
    "keep_in_touch": "Keep in touch: tell them how you are getting on.",
    "act": "Act on it.",
    "await_promise": "They promised: give them time.",
    "record_result": "Record what came of it.",
    "report_back": "Let them know what came of it.",
    "assign_coach": "Assign a coach.",
    "enrol_participants": "Enrol participants.",
    "propose_matches": "Propose a match to the participants who have none.",
    "leave_in_peace": "They asked not to be contacted: leave them in peace.",
}
"""Name → what to do, in English; other languages translate by the name."""

LEAVE_IN_PEACE = "leave_in_peace"
"""Whatever writes to people who asked not to be contacted, or to be forgotten, gives way to it."""

TO_CONTACTS = frozenset(
    {
        "send_request",
        "follow_up",
        "agree_time",
        "take_offered_time",
        "await_choice",
        "send_questions",
        "prepare",
        "confirm",
        "meet",
        "thank",
        "offer_new_time",
        "apologise",
        "await_introduction",
        "ask_other_connector",
        "write_to_contact",
        "keep_in_touch",
    }
)
"""Moves that are to write to the contacts, or to have somebody do so, or that lead up to meeting them."""
