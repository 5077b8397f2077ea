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
    "is there something": (
        "Is there a chance I could ask you a few questions?",
        "Is there any chance I could buy you a coffee and hear about your path?",
        "Is there any chance I could shadow you for a day?",
        "Is there a chance I could send you my questions beforehand?",
        "Is there a student in your team I could talk to?",
        "Is there a recent graduate in your team I could talk to?",
        "Is there someone junior I could talk to?",
        "Is there something I could do for you in return?",
        "Is there anything I can improve in my portfolio?",
        "Is there anything else I could ask you by e-mail later?",
        "Is there something I might have overlooked?",
        "Is there a place where I could meet you?",
        "Do you have room for a coffee next week?",
        "Do you have a slot open on Friday?",
        "Is there a slot open in your calendar?",
        "Is there a slot left on Thursday?",
        "Is there a slot available next week for a short call?",
        "Have you any spot open next week for a call?",
        "Is there anything in your team that you would change?",
        "Is there something at your company that surprised you?",
        "Is there anything at your company you are proud of?",
        "Is there a place in your office you like best?",
        "Is there room in your team for mistakes?",
        "Do you have room for a question?",
        "Is there an intern in your team who could talk to me?",
        "Is there a junior at your company who would be willing to talk to me?",
        "Is there anything available on this subject I could read?",
        "Do you have anything available I could read?",
        "Is there anyone in a junior role I could talk to?",
        "Is there someone in a similar position I could talk to?",
        "Is there a colleague in a different role I might speak with?",
        "I wonder if there is anything I could read before we talk.",
        "I was wondering if there is a chance I could talk to you about your job.",
        "Is there a chance I could ask you about your role?",
        "Is there a chance I could hear about your current position and how you came to it?",
        "Is there any chance I could meet you at your office?",
        "Is there any chance I could interview you about your career?",
        "Is there any chance I could see where you work?",
        "Is there a chance I could talk to someone on your team?",
        "Is there any chance I could talk to one of your colleagues?",
        "Is there a chance I could ask your colleagues the same questions?",
        "Is there anything I might do to thank you?",
        "Is there anything I can do for you?",
        "Is there anything I could do better next time?",
        "Is there anything I can do to prepare for our talk?",
        "Is there anything that I could do to learn more about this work?",
        "Is there anything I could do to stand out less as a newcomer in the field?",
        "Is there something I can do to make our conversation easier for you?",
        "Is there something I can bring to the meeting?",
        "Would there be anything I could prepare?",
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
    "is there something": (
        "Is there a chance I could get a job in your team?",
        "Is there a chance I could work for you?",
        "Is there any chance I could get a contract?",
        "Is there a trainee position I could apply for?",
        "Is there something I could do in your department over the summer?",
        "Is there a chance I could visit your studio and work there for a month?",
        "Is there something I could help you with as a paid assistant?",
        "Would you have room for a trainee?",
        "Is there something I can do in your department over the summer?",
        "Is there a position we could apply for?",
        "Would there be a job I could do for you?",
        "If there is a position I could apply for, would you tell me?",
        "Is there an internship I could ask about?",
        "Is there a role in your team I could talk to HR about?",
        "Is there a junior role in your team I could talk to you about?",
        "Is there a chance I could meet the hiring manager about the role?",
        "Is there something I could help with in your team over the summer?",
        "Is there a way I could help out in your team this summer?",
        "Is there a chance I could help you run the shop as an employee?",
        "Is there something I could work on in your team?",
        "Is there a slot in your internship programme I could get?",
        "Is there a slot open on your team?",
        "Is there a spot left in your team for the summer?",
        "Is there an opening I could read about and apply for?",
        "Is there an apprenticeship I could have with you?",
        "Is there anything I could be hired for?",
        "Is there something I could be useful with at your company, for a wage?",
        "Is there a job for a student who can write?",
        "Do you have room for an intern who could write for your blog?",
        "Would there be a role for a junior who can talk to customers?",
        "Do you have room for a call about a job?",
        "Is there someone in charge of hiring I could write to?",
        "Is there a chance I could schedule a job interview with you?",
        "Is there anything in your shop I could fix for money?",
        "Is there something I could offer you in return for pay?",
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
