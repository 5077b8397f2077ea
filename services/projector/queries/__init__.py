"""The query API: what was folded, as JSON in pages, as sheets, pictures and a calendar.

Every answer in JSON tells by `position` of which point of the log it is. Whatever a path names must be there, else
404; what it holds may be empty. A query parameter that is not known is refused.
"""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter

from services.projector.queries.answering import Desk
from services.projector.queries.calendars import add_calendar_queries
from services.projector.queries.contacts import add_contact_queries
from services.projector.queries.interviews import add_interview_queries
from services.projector.queries.leads import add_lead_queries
from services.projector.queries.listings import add_listings
from services.projector.queries.networks import add_network_queries
from services.projector.queries.notifications import add_notification_queries
from services.projector.queries.past import add_past_queries
from services.projector.queries.programmes import add_programme_queries
from services.projector.queries.reader import Reader
from services.projector.queries.relationships import add_relationship_queries
from services.projector.queries.route import QueryRoute, documented_failures
from services.projector.queries.seekers import add_seeker_queries
from shared.clock import Clock
from shared.timing.policies import Policies


def create_router(
    reader: Callable[[], Reader], *, clock: Clock, policies: Policies, patience: float = 5.0
) -> APIRouter:
    """All endpoints.

    `reader()` gives the reader, or raises while the service still starts; `patience` is how many seconds a query waits
    for the position that it names in `min_position`; `clock` tells the present; `policies` are those that the timers
    were folded with.
    """
    desk = Desk(reader, patience)
    router = APIRouter(
        prefix="/v1/tenants/{tenant}", route_class=QueryRoute, responses=documented_failures(), tags=["queries"]
    )
    add_seeker_queries(router, desk, policies)
    add_listings(router, desk, clock)
    add_relationship_queries(router, desk)
    add_network_queries(router, desk)
    add_calendar_queries(router, desk)
    add_interview_queries(router, desk, clock)
    add_lead_queries(router, desk)
    add_notification_queries(router, desk, clock, policies)
    add_contact_queries(router, desk)
    add_programme_queries(router, desk, clock)
    add_past_queries(router, desk)
    return router
