"""The question bank: what is worth asking, by topic, in the order of a conversation.

Texts may hold the slots `{field}`, `{company}` and `{role}`. Rule 3 judges every one of them *ok* (tested). The
topics are those of the practice; ids are permanent: a question is retired, never given to another text.
"""

from dataclasses import dataclass
from enum import StrEnum

from shared.domain.values import Purpose


class Topic(StrEnum):
    """What a question is about; declared in the order in which a conversation naturally moves."""

    PATH = "path"
    TYPICAL_DAY = "typical_day"
    LIKES_AND_CHANGES = "likes_and_changes"
    KINDS_OF_JOBS = "kinds_of_jobs"
    CAREER_PATH = "career_path"
    SKILLS = "skills_education_experience"
    BREAKING_IN = "breaking_in"
    CHALLENGES = "challenges"
    NEXT_TEN_YEARS = "next_ten_years"
    WHAT_TO_FOLLOW = "what_to_read_and_follow"
    ASSOCIATIONS = "associations"
    WHOM_ELSE = "whom_else"


@dataclass(frozen=True, slots=True)
class BankQuestion:
    """One question of the bank.

    `weight` (1 to 9) says how much is lost by leaving it out. `role_words`, when given, keep the question for contacts
    whose role holds one of these words, such as those who lead others.
    """

    id: str
    topic: Topic
    text: str
    purposes: frozenset[Purpose]
    weight: int
    role_words: frozenset[str] = frozenset()


_Row = tuple[str, str, tuple[Purpose, ...], int, frozenset[str]]


def _roles(words: str) -> frozenset[str]:
    return frozenset(words.split())


def _row(id_: str, text: str, purposes: tuple[Purpose, ...], weight: int, roles: frozenset[str] = _roles("")) -> _Row:
    return id_, text, purposes, weight, roles


_F: Purpose = "field"
_C: Purpose = "company"
_R: Purpose = "role"
_S: Purpose = "field_of_study"
_ALL = (_F, _C, _R, _S)
_LEADS = _roles("manager director head lead leader chief founder owner partner principal dean president ceo cto vp")
_HIRES = _roles("recruiter recruiting hr talent people manager director head founder owner")
_TEACHES = _roles("professor lecturer teacher researcher dean scientist instructor fellow")


_BY_TOPIC: dict[Topic, tuple[_Row, ...]] = {
    Topic.PATH: (
        _row("path-story", "How did you come to do what you do today?", _ALL, 9),
        _row("path-choice", "What drew you to {field}, and what else did you consider?", (_F, _R, _S), 7),
        _row("path-company", "What made you choose {company} over other places you could have gone?", (_C,), 8),
        _row("path-turn", "Which turn in your path mattered most, looking back?", _ALL, 5),
        _row("path-studies", "How did what you studied lead to what you do now?", (_S, _F), 8),
        _row("path-lead", "How did you come to lead other people?", (_R, _C, _F), 6, _LEADS),
    ),
    Topic.TYPICAL_DAY: (
        _row("day-yesterday", "What did yesterday look like for you, from morning to evening?", _ALL, 8),
        _row("day-week", "How does your week divide between people, screens and everything else?", (_F, _R, _C), 6),
        _row("day-role", "What does a normal day look like in {role}?", (_R,), 9),
        _row("day-busy", "What changes when it gets busy, and when in the year is that?", (_F, _R, _C), 4),
        _row("day-together", "With whom at {company} do you work most closely, and on what?", (_C,), 8),
        _row("day-classroom", "Which parts of your studies do you use in a normal week?", (_S,), 8),
        _row("day-teaching", "How do teaching, research and the rest share your time?", (_S, _F), 6, _TEACHES),
    ),
    Topic.LIKES_AND_CHANGES: (
        _row("likes-both", "What do you enjoy most in your work, and what would you change if you could?", _ALL, 9),
        _row("likes-surprise", "What surprised you once you had started?", _ALL, 6),
        _row("likes-stay", "What keeps you at {company}?", (_C,), 8),
        _row("likes-again", "Knowing what you know now, would you choose {field} again?", (_F, _S), 7),
        _row("likes-drain", "Which part of the work costs you the most energy?", (_F, _R), 5),
    ),
    Topic.KINDS_OF_JOBS: (
        _row("kinds-around", "What kinds of jobs exist around you, also those that outsiders rarely hear of?", _ALL, 8),
        _row("kinds-company", "Which roles does {company} have, and how do they depend on each other?", (_C,), 8),
        _row("kinds-settings", "How does the work differ in a large firm, a small one, and alone?", (_F, _R), 6),
        _row("kinds-graduates", "What do people who studied this end up doing?", (_S,), 9),
        _row("kinds-first", "Which first jobs teach a newcomer the most?", (_F, _R, _S), 6),
    ),
    Topic.CAREER_PATH: (
        _row("career-steps", "What does a career in {field} look like over the years?", (_F, _S), 8),
        _row(
            "career-role", "Where do people usually come from before {role}, and where do they go after it?", (_R,), 9
        ),
        _row("career-company", "How do people grow within {company}?", (_C,), 8),
        _row("career-fork", "At which points do people have to choose a direction?", (_F, _R, _S), 5),
        _row("career-leave", "Why do people leave, and what do they do next?", (_F, _C, _R), 4),
    ),
    Topic.SKILLS: (
        _row("skills-need", "Which skills, education and experience does one need for {role}?", (_R, _F, _C), 9),
        _row("skills-study", "Which courses turned out to be worth the effort, and which did not?", (_S,), 9),
        _row("skills-lack", "What do newcomers most often lack when they arrive?", (_F, _R, _C), 7),
        _row(
            "skills-degree",
            "How much does a further degree matter in {field}, compared with experience?",
            (_F, _S, _R),
            6,
        ),
        _row("skills-look", "What do you look for in people who want to join you?", (_C, _R, _F), 7, _HIRES),
        _row("skills-mine", "Given what I have done so far, what should I learn next?", _ALL, 6),
    ),
    Topic.BREAKING_IN: (
        _row("in-how", "How do people usually get their start in {field}?", (_F, _S), 9),
        _row("in-role", "What are the usual ways into {role}?", (_R,), 8),
        _row("in-company", "How do people usually come to work at {company}?", (_C,), 7),
        _row("in-today", "If you had to start again today, what would you do first?", _ALL, 7),
        _row("in-change", "Do you know of people who came from another profession, and what helped them?", (_F, _R), 5),
        _row("in-taste", "How could one get a taste of the work before deciding?", (_F, _R, _S), 6),
    ),
    Topic.CHALLENGES: (
        _row("hard-now", "What are the hardest problems in {field} at the moment?", (_F, _R, _S), 8),
        _row("hard-company", "Which challenges keep {company} busy at the moment?", (_C,), 9),
        _row(
            "hard-yours", "What has been the hardest part of the work for you, and how did you deal with it?", _ALL, 6
        ),
        _row("hard-wrong", "What do outsiders get wrong about {field}?", (_F, _S), 5),
        _row("hard-team", "What is hard about leading a team in {field}?", (_F, _C, _R), 5, _LEADS),
    ),
    Topic.NEXT_TEN_YEARS: (
        _row("future-field", "How do you think {field} will change over the next ten years?", (_F, _R, _S), 8),
        _row("future-company", "Where do you see {company} in ten years?", (_C,), 7),
        _row("future-tasks", "Which of today's tasks will be gone in ten years, and what comes instead?", (_F, _R), 5),
        _row(
            "future-learn", "What should somebody learn today so that it is still of use in ten years?", (_F, _S, _R), 6
        ),
    ),
    Topic.WHAT_TO_FOLLOW: (
        _row("read-keep-up", "What do you read, hear or follow to keep up with {field}?", (_F, _R, _S), 8),
        _row("read-company", "Where can one follow what {company} is working on?", (_C,), 6),
        _row("read-book", "Which book or talk changed how you think about your work?", _ALL, 5),
        _row("read-beginner", "What should a beginner read first?", (_F, _S), 6),
    ),
    Topic.ASSOCIATIONS: (
        _row("assoc-which", "Which associations or groups in {field} are worth knowing?", (_F, _R, _S), 7),
        _row("assoc-company", "Which professional groups are people at {company} active in?", (_C,), 5),
        _row("assoc-student", "Which groups or events are open to students and newcomers?", (_F, _S), 6),
        _row("assoc-yours", "What do you get out of the associations you belong to?", _ALL, 4),
    ),
    Topic.WHOM_ELSE: (
        _row("else-who", "Whom else would you suggest I talk to?", _ALL, 9),
        _row(
            "else-other-side", "Who sees {field} quite differently from you, and might talk to me too?", (_F, _S, _R), 6
        ),
        _row("else-company", "Who else at {company} would have an interesting view on this?", (_C,), 7),
        _row("else-name", "When I write to them, may I say that we have spoken?", _ALL, 4),
    ),
}

BANK: tuple[BankQuestion, ...] = tuple(
    BankQuestion(id_, topic, text, frozenset(purposes), weight, roles)
    for topic, rows in _BY_TOPIC.items()
    for id_, text, purposes, weight, roles in rows
)
"""Every question, topic by topic."""
