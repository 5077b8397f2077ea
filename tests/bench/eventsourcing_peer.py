"""The library `eventsourcing` at the same work, run by the Python of an environment in which it is installed.

`append <default|functions> <events>`: the best of 1, 8 and 32 threads, each inserting one event at a time, a second.
`project <events> <models>`: events a second through its projection runner into a view of so many read models, of which
each event changes two, in one transaction: as many as an event of ours changes on average. Without
`synchronous_commit=off` in `PGOPTIONS` it ends with an error: ours does not wait for the disk either.
The database is that of the `POSTGRES_…` variables; the last line of output is the figure.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Any
from uuid import uuid4

from eventsourcing.application import Application  # type: ignore[import-not-found]
from eventsourcing.domain import Aggregate  # type: ignore[import-not-found]
from eventsourcing.persistence import InfrastructureFactory, StoredEvent  # type: ignore[import-not-found]
from eventsourcing.postgres import PostgresTrackingRecorder  # type: ignore[import-not-found]
from eventsourcing.projection import Projection, ProjectionRunner  # type: ignore[import-not-found]
from eventsourcing.utils import Environment  # type: ignore[import-not-found]
from psycopg.sql import SQL  # type: ignore[import-not-found]

_NOTE = "x" * 489
_MODELS = int(sys.argv[3]) if sys.argv[1] == "project" else 0


def append(kind: str, events: int) -> float:
    os.environ["POSTGRES_ENABLE_DB_FUNCTIONS"] = "yes" if kind == "functions" else "no"
    os.environ["POSTGRES_POOL_SIZE"], os.environ["POSTGRES_MAX_OVERFLOW"] = "32", "8"
    factory = InfrastructureFactory.construct(Environment(f"bench_{kind}", os.environ))
    recorder = factory.application_recorder()
    state = f'{{"note":"{_NOTE}"}}'.encode()

    def insert(number: int) -> None:
        for _ in range(number):
            recorder.insert_events([StoredEvent(uuid4(), 1, "interview.held", state)])

    insert(20)
    best = 0.0
    for threads in (1, 8, 32):
        began = perf_counter()
        with ThreadPoolExecutor(threads) as pool:
            for done in [pool.submit(insert, events // threads) for _ in range(threads)]:
                done.result()
        best = max(best, events // threads * threads / (perf_counter() - began))
    factory.close()
    return best


class Held(Aggregate):  # type: ignore[misc]
    def __init__(self, note: str) -> None:
        self.note = note


class Bench(Application):  # type: ignore[misc]
    pass


class View(PostgresTrackingRecorder):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for model in range(_MODELS):
            sql = f"CREATE TABLE IF NOT EXISTS view_{model} (id uuid PRIMARY KEY, times integer, body text)"
            self.sql_create_statements.append(SQL(sql).format())

    def put(self, id: Any, body: str, tracking: Any) -> None:
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            for model in {tracking.notification_id % _MODELS, (tracking.notification_id + 1) % _MODELS}:
                cursor.execute(
                    f"INSERT INTO view_{model} VALUES (%s, 1, %s) "
                    f"ON CONFLICT (id) DO UPDATE SET times = view_{model}.times + 1",
                    (id, body),
                    prepare=True,
                )


class Views(Projection):  # type: ignore[misc]
    def process_event(self, domain_event: Any, tracking: Any) -> None:
        self.view.put(domain_event.originator_id, domain_event.note, tracking)


def project(events: int) -> float:
    os.environ["PERSISTENCE_MODULE"] = "eventsourcing.postgres"
    app = Bench()
    last = 0
    for _ in range(events // 100):
        last = app.save(*(Held(_NOTE) for _ in range(100)))[-1].notification.id
    with app.recorder.datastore.transaction() as cursor:
        cursor.execute("SHOW synchronous_commit")
        assert cursor.fetchone()["synchronous_commit"] == "off"
    began = perf_counter()
    with ProjectionRunner(application_class=Bench, projection_class=Views, view_class=View) as runner:
        runner.wait(last, timeout=600)
        return events / (perf_counter() - began)


if __name__ == "__main__":
    os.environ["PERSISTENCE_MODULE"] = "eventsourcing.postgres"
    print(append(sys.argv[2], int(sys.argv[3])) if sys.argv[1] == "append" else project(int(sys.argv[2])))
