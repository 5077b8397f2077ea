"""Wordings that lie close together on the two sides of rule 3: what may be asked, and what asks for a job or pay."""

from __future__ import annotations

import pytest

from shared.domain.conversation import check_question

_MAY_BE_ASKED = {
    "for a conversation": (
        "I'm available for a 20-minute call next week.",
        "I'm available to talk on Tuesday.",
        "I am available for an informational interview",
        "Could you give me a 20-minute slot next week?",
        "I'd be grateful if you could give me the opportunity to ask you a few questions.",
        "Would you grant me a short interview about your career?",
        "If questions come up later, may I e-mail you?",
        "If anything comes up on your side, I can easily move our call.",
    ),
    "over a coffee, about their work": (
        "Could we have a coffee and talk about your job?",
        "Can we schedule a call about what your role is like?",
        "Might I have a conversation with you about jobs in publishing?",
        "Could I have ten minutes with you before I start my internship?",
    ),
    "how people come in": (
        "What advice would you give me as a career changer?",
        "Who else should I talk to at your company to learn more about this role?",
        "What are you looking for when you hire somebody?",
        "What experience does one need to be considered for a role like yours?",
        "What jobs are available for someone with my degree?",
        "What's a good first job for a career changer?",
        "What happens in a first interview?",
        "Does your company hire graduates?",
    ),
    "whether a referral matters": (
        "How important is an employee referral?",
        "Does having a referral make a difference?",
    ),
    "how to study": (
        "What should I include in my application to a master's programme?",
        "I want to apply to graduate school.",
    ),
    "how they work": (
        "Are you happy working at your company?",
        "Is it possible to work remotely at your company?",
        "How many people work under you?",
        "What will be your next step?",
        "How do I get my name out there?",
    ),
    "how hiring goes": (
        "Do grades matter in hiring?",
        "Has AI changed hiring?",
        "Is it true that most openings are never advertised?",
        "Is it common for firms to use tests in hiring?",
        "Knowing what you know now, would you choose recruiting again?",
    ),
    "in the words of pay": (
        "What happens at your annual conference?",
        "How do you reach your low-income clients?",
        "What is your success rate?",
        "Do you have a lot of overtime?",
        "Did they give you more responsibility?",
        "How much do you draw on your degree?",
        "How much do you get out of conferences?",
        "How much leeway does your boss give you?",
        "What grade are your pupils in?",
    ),
    "about the US": (
        "How does hiring US engineers differ from hiring in Europe?",
        "Does your company hire US graduates?",
        "Do U.S. employers hire differently?",
    ),
}
_ASKS = {
    "for a conversation": (
        "I'm available for an internship this summer.",
        "I am available to start next Monday.",
        "I'm available for work, call me any time.",
        "Could you give me a slot in your internship programme?",
        "Could you give me a job after our chat?",
        "I'd be grateful if you could give me the opportunity to prove myself on your team.",
        "Would you grant me an interview for the analyst position?",
        "If positions come up later, may I send you my CV?",
        "Next time a position opens up, would you think of me?",
    ),
    "over a coffee, about their work": (
        "Could we have a coffee and talk about me working at your company?",
        "Can we schedule a call about a role on your team?",
        "Could we talk about a role on your team?",
        "Can I buy you a coffee to discuss a job at your firm?",
        "Could I have twenty minutes to talk about joining your team?",
    ),
    "how people come in": (
        "Would you take me as an intern?",
        "Who should I talk to at your company about a job?",
        "Are you looking for an assistant?",
        "I'd like to be considered for a role like that.",
        "What jobs are available at your company?",
        "Do you have a good first job for a beginner like me?",
        "Could this be a first interview?",
        "Does your company hire graduates like me?",
    ),
    "whether a referral matters": (
        "Could you give me an employee referral?",
        "Any chance of an internal referral?",
    ),
    "how to study": (
        "Could you support my application to your school?",
        "I want to apply to your company.",
    ),
    "how they work": (
        "Would you be happy to take me on?",
        "I'd be happy working at your company.",
        "I'd love to work remotely at your company.",
        "I would love to work under you.",
        "Could I be your next assistant?",
        "Could you get my name to your boss?",
    ),
    "how hiring goes": (
        "Is your department hiring soon?",
        "Are your clients hiring?",
        "Do you expect openings next year?",
    ),
    "in the words of pay": (
        "What's your annual?",
        "How high is your income?",
        "What is your day rate?",
        "Do you get overtime pay?",
        "Did they give you more money?",
        "How much do you draw a month?",
        "How much does your boss give you a month?",
        "What grade are you on?",
    ),
    "about the US": (
        "Would you hire us?",
        "WOULD YOU HIRE US?",
    ),
}


def _cases(topics: dict[str, tuple[str, ...]]) -> list[object]:
    return [pytest.param(text, id=f"{topic}: {text}") for topic, texts in topics.items() for text in texts]


@pytest.mark.parametrize("text", _cases(_MAY_BE_ASKED))
def test_what_an_informational_interview_is_for_may_be_asked(text: str) -> None:
    """Given an ordinary line that shares its words with asks, when it is judged, then it is ok."""
    judgement = check_question(text)
    assert (judgement.verdict, judgement.judged) == ("ok", True), judgement.words


@pytest.mark.parametrize("text", _cases(_ASKS))
def test_an_ask_in_nearly_the_same_words_is_refused(text: str) -> None:
    """Given an ask that shares its words with ordinary lines, when it is judged, then it is refused."""
    assert check_question(text).verdict == "refused"


def test_both_sides_are_there() -> None:
    """Given the two sides, then each topic has wordings on both."""
    assert _MAY_BE_ASKED.keys() == _ASKS.keys()
