"""What a reader of the feed may ask for."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from shared.command_envelope import Tenant
from shared.domain.catalogue import CATEGORIES, EVENTS
from shared.faults import form
from shared.log.history import Wanted
from shared.operations.problems import Fault, ProblemError, invalid

_TYPES = form(
    r"^[a-z]+\.([a-z_]+|\*)(,[a-z]+\.([a-z_]+|\*))*$", "types of events, such as interview.held or lead.*,contact.added"
)
Several = Annotated[str, Field(pattern=_TYPES, max_length=4000)]
LAST = 2**63 - 1
"""The last position that PostgreSQL can count to."""


class Ask(BaseModel):
    """The query parameters. One that is not known is refused, not ignored."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    after: Annotated[int, Field(ge=0, le=LAST)] = 0
    """Position after which to begin: `Kithlog-Position` of the answer before. 0: at the first event."""
    epoch: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    """Timeline that `after` is of; refused (409 `forked`, with the position of the `fork`) when the log has another by
    now."""
    types: Annotated[list[Several], Field(max_length=100)] | None = None
    """Only events of these types, such as `interview.held` or `interview.*`, with commas or several times."""
    tenant: Tenant | None = None
    """Only events of this tenant."""
    limit: Annotated[int, Field(ge=1, le=1000)] = 500
    """Most events in the answer. It may hold fewer although more follow."""
    wait: Annotated[int, Field(ge=0, le=30)] = 0
    """Seconds to wait for the next event when there is none. Not used by an event stream, which always waits."""

    def wanted(self) -> Wanted:
        """Raises `ProblemError` (422) for a type that there is not: nothing would ever come of it."""
        if self.types is None:
            return Wanted(self.tenant)
        names = {name for each in self.types for name in each.split(",")}
        categories = {name.removesuffix(".*") for name in names if name.endswith(".*")}
        types = {name for name in names if not name.endswith(".*")}
        unknown = sorted((types - EVENTS.keys()) | {f"{each}.*" for each in categories.difference(CATEGORIES)})
        if unknown:
            raise ProblemError(
                invalid(
                    [Fault("query.types", f"there are no events {name!r}", "unknown_event_type") for name in unknown]
                )
            )
        return Wanted(self.tenant, sorted(types), sorted(categories))
