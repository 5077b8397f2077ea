"""`kithlog rebuild`, `rollback`, `verify`, `asof` and `policy simulate` as somebody at a terminal runs them."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from services.projector.folding.timing_fold import TimingFold
from services.projector.rebuild.building import Builder
from services.projector.rebuild.past import OF_SEEKERS
from services.projector.rebuild.staging import Superseded
from services.projector.rebuild.work import working
from tests.cli.terminal import Terminal
from tests.projector.histories import START, TENANT
from tests.rebuild.conftest import POLICIES, opened


@pytest.fixture
def terminal(database_url: str) -> Terminal:
    """A terminal on a log of some lives, folded."""

    async def fold() -> None:
        async with opened(database_url) as system:
            await system.at(START)
            await system.happen(1)
            await system.fold()
            await system.at(START + timedelta(days=4))

    asyncio.run(fold())
    return Terminal(database_url)


def spoil(terminal: Terminal) -> str:
    async def change() -> str:
        async with opened(terminal.database_url) as system:
            return await system.spoil("pipeline", {"follow_ups": 77})

    return asyncio.run(change())


def test_rebuild_verify_and_rollback(terminal: Terminal) -> None:
    """Given a row that was changed by hand: verify says so with exit code 1, rebuild does not switch, a reason makes it
    switch, verify is content, rollback brings the row back, and what was done is on record."""
    key = spoil(terminal)
    said = terminal.json("verify", "pipeline")
    assert said.code == 1
    [report] = said.objects
    assert report["models"]["pipeline"]["first"][0]["key"] == key
    assert report["models"]["pipeline"]["first"][0]["fields"]["follow_ups"][0] == 77
    assert report["log"] == []
    assert terminal.run("rebuild", "pipeline").code == 1
    assert terminal.run("rebuild", "pipeline", "--accept", "edited by hand").code == 0
    assert terminal.json("verify", "pipeline", "timing").object["unexplained"] == 0
    assert terminal.run("rollback", "pipeline", "--why", "look at it once more").code == 0
    said = terminal.run("verify", "pipeline")
    assert said.code == 1
    assert key in said.out
    healed = terminal.run("verify", "pipeline", "--tenant", TENANT, "--stream", key, "--heal")
    assert (healed.code, "1 rows and timers healed" in healed.err) == (0, True)
    assert terminal.run("verify", "--sample", "30").code == 0
    assert [row[0] for row in terminal.query("SELECT verb FROM log.operation ORDER BY id")] == [
        "rebuild",
        "rollback",
        "verify heal",
    ]


def test_what_can_not_be_done_is_one_line_and_an_exit_code(terminal: Terminal) -> None:
    """Given unknown names, half a stream, nothing to go back to, a rebuild at work, or no PostgreSQL: it says so."""
    assert terminal.run("rebuild", "nothing").code == 2
    assert terminal.run("verify", "--stream", str(UUID(int=1))).code == 2
    said = terminal.run("rollback", "pipeline", "--why", "so")
    assert (said.code, "no earlier generation" in said.err) == (1, True)

    async def busy() -> None:
        async with working(terminal.database_url, POLICIES, "rebuild", ["pipeline"]):
            said = await asyncio.to_thread(terminal.run, "rebuild", "pipeline")
            assert (said.code, "another rebuild" in said.err) == (1, True)

    asyncio.run(busy())
    away = Terminal("postgresql://kithlog@127.0.0.1:1/nowhere")
    assert away.run("rebuild").code == 3
    assert away.run("verify").code == 3


def test_asof(terminal: Terminal) -> None:
    """Given a seeker, their rows and their stream are shown as of a position and valid at a time; what there is not is
    exit code 2."""
    [(seeker_id,)] = terminal.query("SELECT stream_id FROM log.event WHERE type = 'seeker.registered' LIMIT 1")
    now = terminal.json("asof", "seeker", "pipeline", str(seeker_id), "--tenant", TENANT).objects
    early = terminal.json("asof", "seeker", "pipeline", str(seeker_id), "--tenant", TENANT, "--as-of", "60").objects
    before = terminal.json(
        "asof", "seeker", "pipeline", str(seeker_id), "--tenant", TENANT, "--valid-at", "2020-01-01"
    ).objects
    assert len(now) >= len(early) >= len(before) == 0
    assert now
    stream = terminal.json("asof", "stream", str(seeker_id), "--tenant", TENANT, "--as-of", str(START)).objects
    assert stream[0]["type"] == "seeker.registered"
    assert terminal.run("asof", "stream", str(seeker_id), "--tenant", TENANT).code == 0
    assert terminal.run("asof", "stream", str(UUID(int=404)), "--tenant", TENANT).code == 2
    assert terminal.run("asof", "seeker", "pipeline", str(seeker_id), "--tenant", TENANT, "--as-of", "soon").code == 2
    assert terminal.run("asof", "seeker", "contact", str(seeker_id), "--tenant", TENANT).code == 2


def test_policy_simulate(terminal: Terminal, tmp_path: Path) -> None:
    """Given today's policies and the same with one of them switched off, history says what would be gone, and nothing
    is written."""
    text = files("shared.timing").joinpath("policies.toml").read_text("utf-8")
    same, changed = tmp_path / "same.toml", tmp_path / "changed.toml"
    same.write_text(text)
    changed.write_text(text.replace("[policies.keep_in_touch]", "[policies.keep_in_touch]\nenabled = false"))
    before = terminal.query("SELECT (SELECT position FROM log.head), (SELECT count(*) FROM read.timer)")
    span = ("--from", "2026-03-01", "--to", "2026-04-15", "--tenant", TENANT)

    def fired(file: Path) -> dict[str, list[tuple[str, str, str]]]:
        sides: dict[str, list[tuple[str, str, str]]] = {"today": [], "changed": []}
        for one in terminal.json("policy", "simulate", "--policy", str(file), *span).objects:
            sides[one["policies"]].append((one["policy"], one["id"], one["at"]))
        return sides

    sides = fired(same)
    assert sides["today"] == sides["changed"]
    assert any(policy == "keep_in_touch" for policy, _, _ in sides["today"])
    less = fired(changed)
    assert less["today"] == sides["today"]
    # The others are the same; some may fire earlier, where the cap of a day has room now.
    others = {id for policy, id, _ in sides["today"] if policy != "keep_in_touch"}
    assert {id for _, id, _ in less["changed"]} == others
    said = terminal.run("policy", "simulate", "--policy", str(changed), *span, "-n", "1")
    assert "What changes" in said.out
    assert "keep_in_touch/" in said.out
    assert "more changes" in said.err
    assert "nothing was written" in said.err
    assert terminal.query("SELECT (SELECT position FROM log.head), (SELECT count(*) FROM read.timer)") == before
    assert terminal.run("policy", "simulate", "--policy", str(same), *span[:-1], "nobody").code == 2
    # What tenants change today holds for the other policies, too, unless the file brings other changes.
    tenants, none = tmp_path / "tenants.toml", tmp_path / "none.toml"
    tenants.write_text(f"[{TENANT}.keep_in_touch]\nenabled = false")
    none.write_text("")
    for file, goes_on in ((same, False), (tenants, False), (none, True)):
        said = terminal.json("policy", "simulate", "--policy", str(file), *span, KITHLOG_POLICIES=str(tenants))
        kept = {(one["policies"], one["policy"]) for one in said.objects}
        assert ("today", "act_on_lead") in kept
        assert ("today", "keep_in_touch") not in kept
        assert (("changed", "keep_in_touch") in kept) is goes_on
    broken = tmp_path / "broken.toml"
    broken.write_text("[policies.thank_you]\nnonsense = 1")
    assert terminal.run("policy", "simulate", "--policy", str(broken), *span).code == 2
    assert (
        terminal.run("policy", "simulate", "--policy", str(same), "--from", "2026-04-01", "--to", "2026-03-01").code
        == 2
    )


def test_an_event_that_can_not_be_used_is_named(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given an event whose fold fails, whose payload is broken, or whose type is unknown, each verb that meets it ends
    with a line that names its position, and exit code 1."""
    [(position, seeker)] = terminal.query(
        "SELECT position, stream_id FROM log.event WHERE type = 'seeker.registered' ORDER BY position LIMIT 1"
    )
    simulate = ("policy", "simulate", "--policy", os.devnull, "--from", "2026-03-01", "--to", "2026-04-15")
    of_seeker = ("asof", "seeker", "pipeline", str(seeker), "--tenant", TENANT)
    of_stream = ("asof", "stream", str(seeker), "--tenant", TENANT)
    verify = ("verify", "--tenant", TENANT, "--stream", str(seeker))

    def ended(*verbs: tuple[str, ...], saying: str) -> None:
        for words in verbs:
            said = terminal.run(*words)
            assert (said.code, said.err.count("\n")) == (1, 1), said
            assert f"position {position}" in said.err
            assert saying in said.err

    def change(sql: str) -> None:
        async def run() -> None:
            owner = await asyncpg.connect(terminal.database_url)
            await owner.execute(f"ALTER TABLE log.event DISABLE TRIGGER ALL; UPDATE log.event SET {sql}")
            await owner.close()

        asyncio.run(run())

    def fail(*_: object) -> None:
        raise RuntimeError("as planned")

    with monkeypatch.context() as broken:
        broken.setattr(TimingFold, "fold", fail)
        broken.setattr(type(OF_SEEKERS["pipeline"]), "keys", fail)
        ended(simulate, of_seeker, saying="can't be folded: RuntimeError: as planned")
    change(f"data = '{{' WHERE position = {position}")
    ended(simulate, of_seeker, of_stream, verify, saying="can't be read: ValidationError")
    change(f"type = 'seeker.forgotten_about' WHERE position = {position}")
    ended(simulate, of_seeker, of_stream, verify, saying="use a release that knows it")


def test_what_is_wrong_with_the_log_is_shown_whatever_comes_of_the_comparison(terminal: Terminal) -> None:
    """Given an event that somebody has removed, and another rebuild at work, verification tells of the event before it
    ends."""

    async def verify() -> None:
        owner = await asyncpg.connect(terminal.database_url)
        await owner.execute("ALTER TABLE log.event DISABLE TRIGGER ALL; DELETE FROM log.event WHERE position = 7")
        await owner.close()
        async with working(terminal.database_url, POLICIES, "rebuild", ["pipeline"]):
            said = await asyncio.to_thread(terminal.run, "verify")
            assert (said.code, "another rebuild" in said.err, "position 8" in said.out) == (1, True, True)
            said = await asyncio.to_thread(terminal.json, "verify")
            [found] = said.objects
            assert "position 8" in [one["subject"] for one in found["log"]]

    asyncio.run(verify())


def test_what_was_superseded_is_told(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given generations that somebody else has moved, a rebuild ends with a line and exit code 1."""

    async def superseded(*_: object) -> None:
        raise Superseded("generations [7] are not at position 5 any more")

    monkeypatch.setattr(Builder, "build", superseded)
    said = terminal.run("rebuild")
    assert (said.code, "begin again" in said.err) == (1, True)
