"""The preparation sheet: data, HTML and Markdown."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from services.projector.queries.answering import Person
from services.projector.queries.sheet import Sheet, to_markdown
from shared.domain import contact, interview, seeker
from shared.domain.interview.details import Question
from tests.domain.scenario import ANA, INTERVIEW, PLANNED, REGISTERED, REQUESTED, SCHEDULED, WHOSE
from tests.models.history import happened
from tests.queries.conftest import TENANT, Library

SHEET = f"{TENANT}/interviews/{INTERVIEW}/preparation"
NASTY = '</style><script>alert(1)</script> & "quoted" *stars*\n- [link](javascript:alert(1))'
STORY = happened(
    REGISTERED,
    seeker.IntroductionWritten(text="I edit for a small house."),
    contact.Added(name="Ana <b>Reis</b>", source="cold", employer="Nobre & Co", position="Editor"),
    PLANNED,
    REQUESTED,
    SCHEDULED,
    interview.ResearchRecorded(**WHOSE, person=NASTY),
    interview.ObjectivesSet(**WHOSE, objectives=("Learn how people begin",)),
    interview.QuestionsChosen(
        **WHOSE,
        questions=(Question(text="How did you begin?"), Question(text="What is typical?")),
        reserve=(Question(text="What do you read?"),),
    ),
)


class Reading(HTMLParser):
    """Tags and text of a page; fails on a tag that is left open."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.said = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.said += data


async def test_the_sheet_as_data(library: Library) -> None:
    """Given preparation, then the sheet has person, questions in order and in reserve, and the introduction."""
    position = await library.fold(STORY)
    answer = await library.get(SHEET)
    item = answer["item"]
    assert answer["position"] == position
    assert (item["seeker"], item["introduction"]) == ("Mona Quist", "I edit for a small house.")
    assert item["contacts"] == [
        {"contact_id": str(ANA), "name": "Ana <b>Reis</b>", "employer": "Nobre & Co", "position": "Editor"}
    ]
    assert [each["text"] for each in item["questions"]] == ["How did you begin?", "What is typical?"]
    assert [each["text"] for each in item["reserve"]] == ["What do you read?"]


async def test_the_page_shows_what_was_written_and_runs_none_of_it(library: Library) -> None:
    """Given texts with markup, then the page is well-formed, shows them as written, and may load nothing."""
    await library.fold(STORY)
    response = await library.text(f"{SHEET}.html")
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
    page = Reading()
    page.feed(response.text)
    assert page.open == []
    assert not {"script", "b", "a"} & set(page.tags)
    for line in NASTY.splitlines():
        assert line in page.said
    assert "Ana <b>Reis</b>" in page.said
    assert "Tuesday, 17 November 2026, 08:00 (Europe/Lisbon)" in page.said
    assert page.tags.count("ol") == 1


async def test_markdown_shows_what_was_written(library: Library) -> None:
    """Given texts with markup, then Markdown escapes it, and lists the questions in order."""
    await library.fold(STORY)
    response = await library.text(f"{SHEET}.md")
    assert response.headers["Content-Type"] == "text/markdown; charset=utf-8"
    text = response.text
    assert text.startswith("# Conversation with Ana \\<b\\>Reis\\</b\\>\n")
    assert "## Questions\n\n1. How did you begin?\n2. What is typical?\n" in text
    assert "\\[link\\]\\(javascript:alert\\(1\\)\\)" in text
    assert re.search(r"(?<!\\)[<>*]", text) is None


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("Budget\n=====\nnone", "Budget  \n\\=\\=\\=\\=\\=  \nnone"),
        ("    four (4)\n\tand a tab\n\n     again", "four \\(4\\)  \nand a tab  \n  \nagain"),
    ],
)
async def test_no_line_of_markdown_becomes_a_heading_or_code(library: Library, written: str, shown: str) -> None:
    """Given texts with a line below that CommonMark would make a heading of, or before which are so many blanks that it
    would make code of them, then they are text, in paragraphs and in lists."""
    objectives = interview.ObjectivesSet(**WHOSE, objectives=(written,))
    introduction = seeker.IntroductionWritten(text=written)
    await library.fold(happened(REGISTERED, introduction, PLANNED, REQUESTED, SCHEDULED, objectives))
    text = (await library.text(f"{SHEET}.md")).text
    assert f"## My introduction\n\n{shown}\n" in text
    assert f"- {shown}".replace("  \n", "\n  ") in text


async def test_an_unknown_interview_has_no_sheet(library: Library) -> None:
    """Given no such interview, then every form of the sheet is 404."""
    await library.fold(happened(REGISTERED))
    for form in ("", ".html", ".md"):
        assert (await library.get(SHEET + form, 404))["code"] == "unknown_interview"


async def test_an_interview_by_itself(library: Library) -> None:
    """Given an interview, then it can be asked for by its id."""
    await library.fold(STORY)
    answer = await library.get(f"{TENANT}/interviews/{INTERVIEW}")
    assert (answer["item"]["status"], answer["item"]["next_move"]) == ("scheduled", "record_conversation")


def test_an_unknown_zone_shows_utc() -> None:
    """Given a wall clock that this machine does not know, then the sheet shows the instant in UTC."""
    sheet = Sheet(
        interview_id=INTERVIEW,
        seeker_id=ANA,
        contact_ids=(ANA,),
        purpose="field",
        about="Marketing",
        format="coffee",
        starts_at=SCHEDULED.starts_at,
        time_zone="Nowhere/Else",
        contacts=(Person(ANA, "Ana", None, None),),
        seeker="Mona",
        introduction=None,
    )
    assert "08:00 \\(UTC\\)" in to_markdown(sheet)
