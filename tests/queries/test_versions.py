"""Read models of another release, which wait for a rebuild: nothing is answered from what this one can't read."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from tests.domain.scenario import ANA, INTERVIEW, PROGRAMME, SEEKER
from tests.models.history import happened
from tests.queries.conftest import MINE, TENANT, Library
from tests.queries.test_boards import ENROLLED_STORY
from tests.queries.test_notebook import NOTES

CANDIDATES = f"{TENANT}/programmes/{PROGRAMME}/participants/{SEEKER}/candidates?field=Publishing"
READING = [
    ("pipeline", f"{MINE}/pipeline"),
    ("pipeline", f"{TENANT}/interviews/{INTERVIEW}"),
    ("pipeline", f"{TENANT}/programmes/{PROGRAMME}/board"),
    ("programme", f"{TENANT}/programmes"),
    ("notebook", f"{MINE}/notebook"),
    ("notebook", f"{MINE}/notebook?q=words"),
    ("notification", f"{TENANT}/coaches/{ANA}/notifications"),
    ("contact", f"{MINE}/pipeline"),
    ("contact", CANDIDATES),
    ("timing_subject", f"{TENANT}/reminders/{INTERVIEW}"),
]
"""Models, and queries that read them in one way or another."""


@pytest.mark.parametrize("live", ["of another version", "none"])
@pytest.mark.parametrize(("model", "path"), READING)
async def test_what_is_live_of_another_release_is_not_read(library: Library, model: str, path: str, live: str) -> None:
    """Given that nothing, or another version, is live of a model, as between an update and the rebuild, then what reads
    it is refused with a reason that passes, and is neither empty, nor missing, nor the caller's fault."""
    await library.fold(happened(*ENROLLED_STORY, NOTES))
    await library.get(path)
    change = "version = version + 1" if live == "of another version" else "status = 'retired'"
    await library.reader.pool.execute(f"UPDATE read.generation SET {change} WHERE model = $1", model)
    response = await library.client.get(path)
    assert (response.status_code, response.headers["Retry-After"]) == (503, "30")
    problem = response.json()
    assert problem["code"] == "model_version"
    assert f"read model {model} has " in problem["detail"]


async def test_what_is_live_of_this_release_is_read_meanwhile(library: Library) -> None:
    """Given another version of a model, then queries that do not read it are answered."""
    await library.fold(happened(*ENROLLED_STORY))
    await library.reader.pool.execute("UPDATE read.generation SET version = version + 1 WHERE model = 'pipeline'")
    assert (await library.get(f"{MINE}/agenda"))["items"]


async def test_a_row_that_can_not_be_read_is_not_the_callers_fault(library: Library) -> None:
    """Given a row that is not what its model says, then the query is refused as one that passes with a rebuild; the log
    says which kind of row and where, and nothing of what is in it."""
    await library.fold(happened(*ENROLLED_STORY))
    await library.reader.pool.execute("""UPDATE read.row SET body = '{"about": "Quist", "status": "Quist"}'
        WHERE generation = (SELECT id FROM read.generation WHERE model = 'pipeline')""")
    with capture_logs() as lines:
        problem = await library.get(f"{MINE}/pipeline", 503)
    assert problem["code"] == "model_version"
    [line] = [line for line in lines if line["log_level"] == "error"]
    assert (line["event"], line["row"]) == ("a stored row can't be read", "PipelineRow")
    assert line["faults"]["/interview_id"] == "missing"
    assert "Quist" not in f"{problem}{line}"


async def test_before_anything_was_folded_nothing_is_there(library: Library) -> None:
    """Given a database that no projector has folded into, then what a path names is not there yet."""
    await library.get(f"{MINE}/pipeline", 404)
