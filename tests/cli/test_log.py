"""`kithlog log`: tail, show, stats, operations, fork."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from uuid import UUID

import asyncpg
import pytest
import typer

from services.cli import log_fork, log_reading
from services.cli.rebuild_showing import ending_well
from services.cli.terminal import going_on_by, run
from shared.database.pool import connect, open_pool
from shared.domain import contact, seeker
from shared.log import Append
from tests.cli.terminal import ROOT, Said, Terminal, end, history
from tests.projector.histories import appends, on

SEEKER = UUID(int=7)
BEGINNING = [
    on("seeker", SEEKER, seeker.Registered(name="Mona Quist", stage="graduate", time_zone="UTC", locale="en")),
    on("seeker", SEEKER, seeker.Moved(time_zone="Europe/Berlin", country="DE", locale="de")),
    on("seeker", SEEKER, seeker.Left()),
]
TYPES = ("seeker.registered", "contact.added", "seeker.moved", "seeker.left")


def test_tail_prints_the_last_events_in_order(terminal: Terminal) -> None:
    """Given a log of three events, when its last two are asked for, then these are printed, oldest first."""
    terminal.write(BEGINNING)
    said = terminal.json("log", "tail", "-n", "2", "--no-follow")
    assert [(e["position"], e["type"]) for e in said.objects] == [(2, "seeker.moved"), (3, "seeker.left")]
    assert said.objects[0]["data"]["time_zone"] == "Europe/Berlin"
    assert "seeker.left" in terminal.run("log", "tail", "--no-follow").out


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_letters_that_a_terminal_lacks_are_shown_all_the_same(terminal: Terminal, encoding: str) -> None:
    """Given a terminal of some encoding, when what it has no letters for is printed, the verb goes on to its end, and
    JSON is read as what it was."""
    name = "Zoë 沈"
    terminal.write([on("seeker", SEEKER, seeker.Registered(name=name, stage="graduate", time_zone="UTC", locale="en"))])
    assert terminal.run("log", "fork", "--why", name, "--yes").code == 0
    there = Terminal(terminal.database_url, PYTHONIOENCODING=encoding)
    shown = name.encode(encoding, "backslashreplace")
    for words in (("log", "show", "1"), ("log", "operations")):
        assert shown in spoken(there, *words)
        assert name in str([json.loads(line) for line in spoken(there, *words, "--json").splitlines()])


def spoken(terminal: Terminal, *words: str) -> bytes:
    """What a process of its own prints, to the byte."""
    command = [sys.executable, "-m", "services.cli.main", *words]
    said = subprocess.run(command, cwd=ROOT, env=os.environ | terminal.env, capture_output=True, check=False)
    assert (said.returncode, said.stderr) == (0, b"")
    return said.stdout


def test_tail_follows_what_is_written(terminal: Terminal) -> None:
    """Given a tail that has shown what is there, when more is written, then that is printed, too, by its filters."""
    terminal.write(BEGINNING)
    process = terminal.process("log", "tail", "--json", "--count", "2", "--type", "seeker.left")
    assert process.stdout is not None
    assert '"position": 3' in process.stdout.readline()
    other = on("seeker", UUID(int=8), BEGINNING[0].event)
    terminal.write([other, replace(other, event=seeker.Left())], after=100)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert '"position": 5' in out


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--type", "interview.hold"], "interview.held"),
        (["--category", "interviews"], "interview"),
        (["--stream", "seven"], "UUID"),
        (["--tenant", "No Tenant"], "tenant"),
    ],
)
def test_names_that_can_not_be_are_usage_errors(terminal: Terminal, words: list[str], named: str) -> None:
    """Given a name that nothing has, when tail is asked for it, then the code is 2 and what was meant is named."""
    said = terminal.run("log", "tail", "--no-follow", *words)
    assert (said.code, said.out) == (2, "")
    assert named in said.err


def test_show_tells_causes_and_effects(terminal: Terminal) -> None:
    """Given an event that led to another, when either is shown, then the other is named, and the tree has both."""
    first, second, third = appends(BEGINNING)
    follows = replace(second, correlation_id=first.correlation_id, causation_id=UUID(int=0))
    terminal.append([first])
    [cause] = terminal.log()
    terminal.append([replace(follows, causation_id=cause.event_id), third])
    effect = terminal.json("log", "show", "2").object
    assert (effect["causes"], effect["effects"]) == ([1], [])
    assert terminal.json("log", "show", "1").object["effects"] == [2]
    lines = terminal.run("log", "show", "1").out.splitlines()
    assert depth(lines, "1 seeker.registered") < depth(lines, "2 seeker.moved")
    assert not any("seeker.left" in line for line in lines)


def test_show_leaves_out_what_only_shares_the_first_cause(terminal: Terminal) -> None:
    """Given commands of one import, none of which led to another, when an event is shown, then the others are left out
    and counted; --whole shows them."""
    import_id = UUID(int=99)
    terminal.append([replace(each, correlation_id=import_id) for each in appends(BEGINNING)])
    said = terminal.run("log", "show", "2")
    assert "seeker.left" not in said.out
    assert "2 more events" in said.err
    assert "seeker.left" in terminal.run("log", "show", "2", "--whole").out


def contacts(count: int) -> list[Append]:
    """So many streams of one event each."""
    added = contact.Added(name="Ana Reis", source="referral", seeker_id=SEEKER)
    return appends([on("contact", UUID(int=100 + n), added) for n in range(count)], after=10)


def depth(lines: list[str], words: str) -> int:
    """How far from the left a line has these words, of those that have them the first."""
    return next(line.index(words) for line in lines if words in line)


def test_show_tells_a_stream_as_a_tree(terminal: Terminal) -> None:
    """Given a stream whose first event led to one of another stream, and one that only shares their first cause, when
    the stream is shown, then its events are there in order, under the first what it led to, and of the third one how
    many there are; to a program it says the same by positions."""
    first, *others = appends(BEGINNING)
    led_to, sharing = (replace(each, correlation_id=first.correlation_id) for each in contacts(2))
    terminal.append([first])
    [cause] = terminal.log()
    terminal.append([replace(led_to, causation_id=cause.event_id), sharing, *others])
    said = terminal.run("log", "show", str(SEEKER))
    lines = said.out.splitlines()
    assert [type for line in lines for type in TYPES if type in line] == list(TYPES)
    top, under = depth(lines, "1 seeker.registered v1"), depth(lines, f"2 contact.added of contact {UUID(int=100)} v1")
    assert lines[0].startswith(f"seeker {SEEKER} of acme")
    assert top < under
    assert top == depth(lines, "4 seeker.moved v2") == depth(lines, "5 seeker.left v3")
    assert "Mona Quist" in said.out
    assert "1 more events share the first cause" in said.err
    assert f"contact {UUID(int=101)}" in terminal.run("log", "show", str(SEEKER), "--whole").out
    told = terminal.json("log", "show", str(SEEKER), "--tenant", "acme").objects
    assert [(e["position"], e["causes"], e["effects"]) for e in told] == [
        (1, [], [2]),
        (2, [1], []),
        (4, [], []),
        (5, [], []),
    ]
    assert [e["version"] for e in told if e["stream_id"] == str(SEEKER)] == [1, 2, 3]


def test_show_tells_what_was_written_with_an_event(terminal: Terminal) -> None:
    """Given a command that wrote to two streams, when one of them is shown, both events are under the command."""
    first, other = appends(BEGINNING)[0], contacts(1)[0]
    both = {**first.expected, **other.expected}
    terminal.append([replace(first, events=[*first.events, *other.events], expected=both)])
    lines = terminal.run("log", "show", str(SEEKER)).out.splitlines()
    assert depth(lines, "1 seeker.registered") == depth(lines, "2 contact.added") > depth(lines, "command ")
    assert [e["position"] for e in terminal.json("log", "show", str(UUID(int=100))).objects] == [1, 2]


def test_show_of_much_says_what_is_left_out(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a stream and effects that are too many to be shown at once, then it is told how many are left out, and the
    rest of the stream can be asked for; a late event of a large import is shown all the same."""
    monkeypatch.setattr(log_reading, "MOST", 2)
    first, *others = appends(BEGINNING)
    terminal.append([first])
    [cause] = terminal.log()
    follow = [replace(each, correlation_id=first.correlation_id, causation_id=cause.event_id) for each in contacts(3)]
    terminal.append([*others, *follow])
    said = terminal.json("log", "show", str(SEEKER))
    assert [e["position"] for e in said.objects] == [1, 2, 4, 5]
    assert "1 later events of the stream are left out: --after 2" in said.err
    assert "1 more events that are connected with it are left out" in said.err
    said = terminal.json("log", "show", str(SEEKER), "--after", "2")
    assert ([e["version"] for e in said.objects], said.err) == ([3], "")
    assert terminal.json("log", "show", "6").object["causes"] == [1]
    assert "6 contact.added" in terminal.run("log", "show", "6", "--whole").out
    assert terminal.run("log", "show", str(SEEKER), "--after", "3").code == 2
    assert terminal.run("log", "show", "1", "--after", "3").code == 2


def test_a_stream_that_two_tenants_have_is_asked_for_by_tenant(terminal: Terminal) -> None:
    """Given streams of two tenants with one id, when it is shown, then it is said whose is to be named."""
    terminal.write([BEGINNING[0], replace(BEGINNING[0], tenant="umbrella")])
    said = terminal.run("log", "show", str(SEEKER))
    assert (said.code, said.out, "acme, umbrella" in said.err) == (2, "", True)
    assert terminal.json("log", "show", str(SEEKER), "--tenant", "umbrella").object["position"] == 2


@pytest.mark.parametrize(
    ("what", "code"), [("4", 1), (str(UUID(int=9)), 1), ("-1", 2), ("seven", 2), ("99999999999999999999", 1)]
)
def test_showing_what_is_not_there(terminal: Terminal, what: str, code: int) -> None:
    """Given a position or a stream that is not there, when it is shown, then the code says so."""
    terminal.write(BEGINNING)
    said = terminal.run("log", "show", what)
    assert (said.code, said.out) == (code, "")
    assert said.err


def test_stats_count_by_what_is_asked(terminal: Terminal) -> None:
    """Given a history, when it is counted by type, category, tenant and day, then the sums agree."""
    terminal.write(history(1, 2))
    total = len(terminal.log())
    for by in ("type", "category", "tenant", "day"):
        counted = terminal.json("log", "stats", "--by", by).objects
        assert sum(row["events"] for row in counted) == total
    assert terminal.json("log", "stats", "--by", "tenant").object["tenant"] == "acme"
    assert "interview.held" in terminal.run("log", "stats").out
    assert terminal.run("log", "stats", "--tenant", "nobody").code == 2
    assert terminal.run("log", "stats", "--by", "mood").code == 2


def test_fork_begins_a_new_timeline_and_says_what_is_next(terminal: Terminal) -> None:
    """Given a log, when it is forked, then its epoch is raised, the reason is recorded, and the next steps are told."""
    terminal.write(BEGINNING)
    said = terminal.run("log", "fork", "--why", "disk lost", "--yes")
    assert said.code == 0
    assert "epoch 2" in said.out
    assert "kithlog rebuild" in said.out
    assert terminal.query("SELECT position, epoch FROM log.head") == [(3, 2)]
    [done] = terminal.json("log", "operations").objects
    assert (done["actor"], done["verb"], done["why"]) == ("ines@desk", "log fork", "disk lost")
    assert "disk lost" in terminal.run("log", "operations").out


def test_a_fork_wants_a_reason_and_a_yes(terminal: Terminal) -> None:
    """Given a log, when a fork is not confirmed or has no reason, then the code is 2 and the epoch stays."""
    assert terminal.run("log", "fork", "--yes").code == 2
    assert terminal.run("log", "fork", "--why", "", "--yes").code == 2
    assert terminal.run("log", "fork", "--why", "a slip", stdin="n\n").code == 2
    assert terminal.query("SELECT epoch FROM log.head") == [(1,)]


def test_a_question_is_answered_by_ctrl_c(terminal: Terminal) -> None:
    """Given a log, when Ctrl-C is what is answered to the question, then the code is 130, and the epoch stays."""
    process = terminal.process("log", "fork", "--why", "a slip", stdin=subprocess.PIPE)
    assert process.stderr is not None
    asked = ""
    while "Begin a new timeline here, epoch 2?" not in asked and (letter := process.stderr.read(1)):
        asked += letter
    said = end(process)
    assert (said.code, said.err.endswith("kithlog: interrupted\n")) == (130, True), said
    assert terminal.query("SELECT epoch FROM log.head") == [(1,)]


def test_what_is_written_while_it_is_asked_is_not_forked_away(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a service that is started while somebody reads what is asked, and writes, then nothing is done: the new
    timeline would begin behind what it wrote in the one before."""
    terminal.write(BEGINNING)

    def written(*_: object) -> None:
        with ThreadPoolExecutor() as beside:
            beside.submit(terminal.query, "UPDATE log.head SET position = position + 1 RETURNING position").result()

    monkeypatch.setattr(log_fork, "_ask", written)
    said = terminal.run("log", "fork", "--why", "disk lost")
    assert (said.code, "somebody has written to the log" in said.err) == (1, True), said.err
    assert terminal.query("SELECT position, epoch FROM log.head") == [(4, 1)]


def test_a_log_that_is_served_is_not_forked(terminal: Terminal) -> None:
    """Given a service at work on the log, or a URL that still names that one, then it is not forked, with a yes or
    without; once all have ended it is asked, with the database's name and address."""
    terminal.write(BEGINNING)
    user, _, place = terminal.database_url.removeprefix("postgresql://").rpartition("@")
    host, _, name = place.partition("?")[0].partition("/")

    async def served() -> Said:
        pool = await open_pool(terminal.database_url)
        try:
            return await asyncio.to_thread(terminal.run, "log", "fork", "--why", "disk lost", "--yes")
        finally:
            await pool.close()

    said = asyncio.run(served())
    assert (said.code, f"are open in database {name} at {host}: stop them first" in said.err) == (1, True), said.err
    assert terminal.query("SELECT epoch FROM log.head") == [(1,)]
    said = terminal.run("log", "fork", "--why", "disk lost", stdin="y\n")
    assert (said.code, f"The log in database {name} at {host} ends at position 3" in said.err) == (0, True), said.err
    assert user not in said.err


def test_a_fork_takes_the_epoch_that_is_named(terminal: Terminal) -> None:
    """Given consumers that have seen later epochs than the log knows, when it is forked, then it is told that nobody
    can know of them; and the epoch that is named is taken, unless the log is there already."""
    terminal.write(BEGINNING)
    by_itself = terminal.json("log", "fork", "--why", "from a dump", "--yes").object
    assert by_itself["epoch"] == 2
    assert "no consumer has seen epoch 2 or a later one" in by_itself["next"][0]
    for small in ("2", "1", "0", "-1"):
        said = terminal.run("log", "fork", "--why", "from a dump", "--epoch", small, "--yes")
        assert (said.code, said.out) == (2, "")
        assert "the log is in epoch 2" in said.err
        assert "--epoch 3 at least; nothing was done" in said.err
    assert terminal.run("log", "fork", "--why", "from a dump", "--epoch", str(2**31), "--yes").code == 2
    named = terminal.json("log", "fork", "--why", "from a dump", "--epoch", "7", "--yes").object
    assert (named["position"], named["epoch"]) == (3, 7)
    assert "no consumer has seen" not in "".join(named["next"])
    assert terminal.query("SELECT position, epoch FROM log.head") == [(3, 7)]
    epochs = [done["details"]["epoch"] for done in terminal.json("log", "operations", "--about", "log fork").objects]
    assert epochs == [7, 2]


def test_a_postgresql_that_does_not_tell_its_timeline(terminal: Terminal) -> None:
    """Given rights that are fewer than PostgreSQL's own, when the log is forked, then an epoch has to be named."""
    terminal.write(BEGINNING)

    async def revoke() -> None:
        owner = await asyncpg.connect(terminal.database_url)
        await owner.execute("REVOKE EXECUTE ON FUNCTION pg_current_wal_lsn() FROM PUBLIC")
        await owner.close()

    asyncio.run(revoke())
    said = terminal.run("log", "fork", "--why", "disk lost", "--yes")
    assert (said.code, "by --epoch; nothing was done" in said.err) == (1, True)
    assert terminal.query("SELECT epoch FROM log.head") == [(1,)]
    assert terminal.run("log", "fork", "--why", "disk lost", "--epoch", "1", "--yes").code == 2
    assert terminal.json("log", "fork", "--why", "disk lost", "--epoch", "2", "--yes").object["epoch"] == 2


def test_a_database_that_is_away_is_said(terminal: Terminal) -> None:
    """Given no PostgreSQL at that address, when the log is asked, then the code is 3 and the setting is named."""
    said = terminal.run("log", "stats", KITHLOG_DATABASE_URL="postgresql://a:b@127.0.0.1:1/kithlog")
    assert (said.code, said.out) == (3, "")
    assert "KITHLOG_DATABASE_URL" in said.err


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.DiskFullError("no space left on device"),
        asyncpg.QueryCanceledError("canceling statement due to statement timeout"),
        asyncpg.LockNotAvailableError("canceling statement due to lock timeout"),
        asyncpg.DeadlockDetectedError("deadlock detected"),
        asyncpg.ReadOnlySQLTransactionError("cannot execute INSERT in a read-only transaction"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_passes_with_time_is_no_defect(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    """Given what PostgreSQL can't at the moment, when it keeps a verb from going on, then the code is 3 and it is told,
    with what goes on where something does."""

    async def verb(within: AbstractContextManager[None]) -> None:
        with within:
            raise error

    for within, then in (
        (nullcontext(), "can't now ({}): see to it, or wait"),
        (going_on_by("log", "import", "file"), "can't go on now ({}): go on with `kithlog log import file`"),
        (ending_well("nothing is mended by halves"), "can't now ({}): see to it, or wait; nothing is mended by halves"),
    ):
        with pytest.raises(typer.Exit) as ended:
            run(verb(within))
        assert ended.value.exit_code == 3
        assert capsys.readouterr().err == f"kithlog: PostgreSQL {then.format(error)}\n"


def test_arguments_that_can_not_be_encoded_are_a_defect() -> None:
    """Given a mistake of ours, which is among asyncpg's `InterfaceError`s, then it is not told as PostgreSQL's."""

    class Unencodable(asyncpg.InterfaceError, ValueError):
        pass

    async def verb(within: AbstractContextManager[None]) -> None:
        with within:
            raise Unencodable("invalid input for query argument $1")

    for within in (nullcontext(), going_on_by("log", "import", "file"), ending_well("so")):
        with pytest.raises(Unencodable):
            run(verb(within))


def test_wrong_passwords_and_missing_rights_are_said(terminal: Terminal) -> None:
    """Given a user with a wrong password, or without the services' role, when the log is asked, then the code is 4."""
    url = terminal.database_url
    user, _, place = url.removeprefix("postgresql://").rpartition("@")
    wrong = f"postgresql://{user.partition(':')[0]}:wrong@{place}"
    assert terminal.run("log", "stats", KITHLOG_DATABASE_URL=wrong).code == 4

    async def create_stranger() -> None:
        connection = await connect(url, server_settings={"role": "kithlog"})
        await connection.execute("DROP ROLE IF EXISTS stranger; CREATE ROLE stranger LOGIN PASSWORD 'strange'")
        await connection.close()

    asyncio.run(create_stranger())
    stranger = terminal.run("log", "stats", KITHLOG_DATABASE_URL=f"postgresql://stranger:strange@{place}")
    assert stranger.code == 4
    assert "does not allow" in stranger.err


def test_a_database_that_was_not_migrated_is_said(empty_database_url: str) -> None:
    """Given an empty database, when the log is asked, then the code is 1 and the message says what to do."""
    said = Terminal(empty_database_url).run("log", "stats")
    assert said.code == 1
    assert "start a projector service once" in said.err
