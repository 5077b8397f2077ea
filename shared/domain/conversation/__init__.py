"""The conversation itself: what may be asked (rule 3), what is worth asking (the bank), and in which order."""

from shared.domain.conversation.bank import BANK, BankQuestion, Topic
from shared.domain.conversation.judgement import Judgement, check_question, check_text
from shared.domain.conversation.proposal import Proposal, ProposedQuestion, propose
from shared.domain.conversation.question_list import Advice, check_list
from shared.domain.conversation.reading import Span
from shared.domain.conversation.rule import QuestionVerdict

__all__ = [
    "BANK",
    "Advice",
    "BankQuestion",
    "Judgement",
    "Proposal",
    "ProposedQuestion",
    "QuestionVerdict",
    "Span",
    "Topic",
    "check_list",
    "check_question",
    "check_text",
    "propose",
]
