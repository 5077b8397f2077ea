"""A client for services that consume the log's events: aio-pika, httpx and pydantic, and nothing else of Kithlog.

    handlers: Handlers[Connection] = Handlers()

    @handlers.on("interview.held")
    async def held(event: CloudEvent, connection: Connection) -> None:
        await connection.execute("INSERT …", event.subject, event.read(Held).minutes)

    await pool.execute(PostgresStore.TABLE)  # once, where the consumer's mark is kept
    wiring, rules = Wiring(amqp_url, queue="statistics"), Rules(Patterns(("*.interview.held",)), begin="first")
    async with HttpHistory("http://projector:8102") as history:
        await Consumer(wiring, rules, handlers, PostgresStore(pool, "statistics"), history).run(stop)

**Every event, once.** The mark (how far the consumer has come) is saved in the unit of work that the handler writes
in; with `PostgresStore` an event takes effect exactly once, with `FileStore` and `MemoryStore` at least once. What
comes twice is told by its position. What is missing shows as a gap and is read from the history feed: at once by a
consumer of everything (`#`), or of `in_order=True`; by others, since a filter hides which positions were theirs, at a
start, every `audit_every` seconds, and every thousand events. Whether the broker still holds what waits for another
attempt is counted at each connection that finds no other process at work, and from time to time; if not, it is read
from the history, too. So what the broker loses is late, and not lost. Several processes may share queue
and mark: one works, the others stand by, and read from the history only when the mark has not moved for longer than an
event may be in hand.

**Order.** Events come in the order of the log, but for two: one that failed comes again after some of its successors,
and what a filtered consumer missed comes when that was noticed. `in_order=True` rules out both; an event that keeps
failing then holds up all behind it until it is parked; so does one that fails while a thousand others wait already.

| a message that … | ends |
|---|---|
| was handled | acknowledged, after the unit of work was committed |
| is a duplicate | acknowledged, not handled |
| matches none of the patterns: by a binding of an earlier release, or replayed | acknowledged, not handled |
| makes the handler raise, or hang beyond `handler_timeout` | put aside for each of `delays`, then parked: `failed` |
| makes the handler write what can't be committed | the same |
| breaks the store, which works right after | given again; more often than there are delays: the same |
| makes the handler raise `Park` | parked at once, with that reason |
| makes the handler raise `Unavailable` | waits with all behind it, no attempt is counted |
| ends the process, again and again | parked: `no_answer` |
| is not JSON; is not a CloudEvent of ours | parked: `not_json`, `not_a_cloudevent`; its event comes from the history |
| is of a type without a handler; of a newer schema version | parked: `unknown_type`, `newer_version` |
| is of a timeline that a restore abandoned | parked: `abandoned` |
| shows that this consumer has seen what a restore undid | the consumer stops: `Forked` |

While the broker is short of memory or disk it takes nothing. Then what fails waits, with all behind it, to be put aside
or parked; what was handled before is acknowledged, over a connection of its own, and the consumer ends when told to.

**A further pattern** counts from the mark on; what it matches before that, `kithlog replay` brings. End all processes
of the consumer before the first one with that pattern begins: one of the release before, whose queue it is, too, would
pass over what only the new one wants, and move the mark beyond it.

A handler that blocks the event loop can't be ended from inside: the broker misses its heartbeats and gives its messages
to another process of this consumer, and an event that does so each time is parked (`no_answer`). So let something
outside end a process that has fallen silent, and take blocking work to a thread.

Parked messages stay in `<queue>.parked`, with headers `reason`, `error`, `attempts`; those of their own that can't be
sent again are told as text, in `unsendable`. To have one handled after all, move it back to the queue (by a shovel,
or by *Move messages* of the management page): it is handled if the mark has its position among `parked`, once,
however often it comes. Or publish it there again with a header `replay`, and it is handled whatever its position,
each time. Both only if a pattern matches, and neither moves the mark. What is of an abandoned timeline, and was moved
back, is parked again. Which events are parked stands in the mark, too (`parked`: position → reason; of more than a
thousand, the highest positions), and in a line of the log: where the broker has lost them, replay those positions
(`kithlog replay` waits while the queue is full; its `--room` is to be less than `Wiring.max_length` by `prefetch`).
What is no event is in that queue only; the event that it should have been is read from the history.
"""

from shared.client.consumer import Consumer, Wiring
from shared.client.event import CloudEvent
from shared.client.failures import Forked, Park, Unavailable
from shared.client.handlers import Handlers
from shared.client.history import History, HttpHistory, Page
from shared.client.mark import Mark
from shared.client.message import Incoming
from shared.client.patterns import Patterns
from shared.client.rules import Counts, Rules
from shared.client.store import FileStore, MemoryStore, PositionStore, PostgresStore, Unit

__all__ = [
    "CloudEvent",
    "Consumer",
    "Counts",
    "FileStore",
    "Forked",
    "Handlers",
    "History",
    "HttpHistory",
    "Incoming",
    "Mark",
    "MemoryStore",
    "Page",
    "Park",
    "Patterns",
    "PositionStore",
    "PostgresStore",
    "Rules",
    "Unavailable",
    "Unit",
    "Wiring",
]
