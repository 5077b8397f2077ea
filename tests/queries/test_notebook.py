"""The notebook: full-text search in the seeker's language."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import asyncpg

from services.projector.queries.languages import SEARCHED, search_language
from shared.domain import interview, seeker
from shared.domain.interview.details import Advice
from shared.domain.values import Resource
from tests.domain.scenario import ADDED, ANA, REGISTERED, SEEKER, WHOSE, on
from tests.models.history import History, happened
from tests.queries.conftest import MINE, TENANT, Library

ENGLISH = REGISTERED.model_copy(update={"locale": "en-GB"})
NOTES = interview.NotesTaken(
    **WHOSE,
    points=("Mornings are spent reading manuscripts",),
    advice=(Advice(about="skills", text="Study indexing before anything else"),),
    resources=(Resource(kind="blog", title="Margins and Gutters", url="https://margins.example/posts"),),
)
REFLECTION = interview.ReflectionRecorded(**WHOSE, learned="Small houses suit me.", clicked=5)


def story() -> History:
    return happened(ENGLISH, ADDED, NOTES, REFLECTION)


async def found(library: Library, words: str, **more: Any) -> list[str]:
    return [item["kind"] for item in (await library.get(f"{MINE}/notebook", q=words, **more))["items"]]


FOUND = {
    "read manuscript": ["notes"],
    "studies": ["notes"],
    "gutter": ["notes"],
    '"small houses"': ["reflection"],
    '"houses small"': [],
    "manuscripts or houses": ["reflection", "notes"],
    "houses -small": [],
    "blog": ["notes"],
    "nothing of the kind": [],
}
"""Words → the kinds of the pieces that hold them."""


async def test_words_are_found_in_every_form(library: Library) -> None:
    """Given notes in English, then words are found whatever their ending, in points, advice, resources, reflections."""
    await library.fold(story())
    for words, kinds in FOUND.items():
        assert await found(library, words) == kinds, words


async def test_a_kind_narrows_the_search(library: Library) -> None:
    """Given pieces of two kinds, when one is asked for, then the other is not searched."""
    await library.fold(story())
    assert await found(library, "manuscripts or houses", kind="reflection") == ["reflection"]


async def test_the_language_is_the_one_that_the_seeker_has_now(library: Library) -> None:
    """Given German notes of an English seeker, when German becomes their language, then endings are understood."""
    notes = interview.NotesTaken(**WHOSE, text="Die Häuser sind klein, die Gespräche lang.")
    history = happened(ENGLISH, ADDED, notes)
    await library.fold(history)
    assert await found(library, "Haus") == []
    await library.fold(history.add(seeker.Moved(time_zone="Europe/Berlin", locale="de-DE")))
    assert await found(library, "Haus") == ["notes"]
    assert await found(library, "Gespräch") == ["notes"]


async def test_a_seekers_notebook_is_their_own(library: Library) -> None:
    """Given two seekers, when one searches, then nothing of the other is found."""
    other = UUID(int=0x5EE2)
    await library.fold(story().add(on("seeker", other, ENGLISH)))
    answer = await library.get(f"{TENANT}/seekers/{other}/notebook", q="manuscripts")
    assert answer["items"] == []


async def test_search_comes_in_pages(library: Library) -> None:
    """Given more finds than a page holds, then pages lead through them, latest first, each once."""
    history = happened(ENGLISH, ADDED)
    for number in range(5):
        history.add(interview.NotesTaken(**WHOSE, text=f"manuscript {number}"))
    await library.fold(history)
    first = await library.get(f"{MINE}/notebook", q="manuscripts", limit=3)
    rest = await library.get(f"{MINE}/notebook", q="manuscripts", limit=3, after=first["next"])
    assert [item["text"] for item in first["items"] + rest["items"]] == [f"manuscript {n}" for n in (4, 3, 2, 1, 0)]
    assert rest["next"] is None


async def test_any_words_may_be_searched_for(library: Library) -> None:
    """Given words full of operators and quotes, then the search finds nothing rather than failing."""
    await library.fold(story())
    for words in ("'", "&|!()", ":*", "\\", "a" * 500, "<->", "\t", '"', "-", "東京", "or"):
        assert await found(library, words) == [], words


async def test_without_words_the_notebook_is_read_from_its_end(library: Library) -> None:
    """Given notes and a reflection, then the notebook shows both, latest first, with whom they were about."""
    await library.fold(story())
    answer = await library.get(f"{MINE}/notebook")
    assert [item["kind"] for item in answer["items"]] == ["reflection", "notes"]
    assert answer["items"][1]["contacts"][0]["contact_id"] == str(ANA)
    assert answer["items"][1]["advice"] == [{"about": "skills", "text": "Study indexing before anything else"}]
    assert answer["items"][1]["seeker_id"] == str(SEEKER)


async def test_every_language_is_one_that_postgresql_knows(library: Library, database_url: str) -> None:
    """Given the table of languages, then PostgreSQL has a text search configuration for each."""
    connection = await asyncpg.connect(database_url)
    try:
        known = {row[0] for row in await connection.fetch("SELECT cfgname FROM pg_ts_config")}
    finally:
        await connection.close()
    assert set(SEARCHED.values()) <= known
    assert search_language(None) == search_language("tlh") == "simple"
    assert search_language("pt-BR") == "portuguese"
