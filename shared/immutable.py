"""Dataclasses that are immutable by type checking alone, for values that are made by the million.

`@dataclass(frozen=True)` sets each field through `object.__setattr__`: a value of sixteen fields takes eight times as
long to make. mypy knows classes of `immutable` as frozen and refuses assignments to them; at run time nothing does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform, overload

C = TypeVar("C")


@overload
def immutable(cls: type[C], /) -> type[C]: ...


@overload
def immutable(*, kw_only: bool) -> Callable[[type[C]], type[C]]: ...


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def immutable(cls: type[C] | None = None, /, *, kw_only: bool = False) -> type[C] | Callable[[type[C]], type[C]]:
    """Slots, equality, a hash of all fields, and fields that are not to be assigned to."""
    made = dataclass(slots=True, unsafe_hash=True, kw_only=kw_only)
    return made if cls is None else made(cls)
