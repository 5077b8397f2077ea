"""The set of policies in force: read from TOML, checked against the events there are, overridden per tenant and seeker.

Overrides are merged setting by setting, the seeker's over the tenant's over the default. One that is not sound leaves
the policy as it would be without it: what is in the log never stops the timers. `problems` tells which those are.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache, cached_property, lru_cache
from hashlib import sha256
from importlib.resources import files
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from shared.domain.kernel import Command, Event
from shared.domain.values import TENANT
from shared.faults import in_words
from shared.timing import calendar
from shared.timing.policy import (
    Arm,
    Disarm,
    Limits,
    LimitsOverride,
    Policy,
    PolicyOverride,
    Stage,
    StageOverride,
    Trigger,
)

LIMITS = "limits"
"""The key of the settings that belong to no policy, in the file and in overrides."""

CHANGED = "+"

Overrides = Mapping[str, Mapping[str, Any]]
"""Policy name, or `limits` → setting → value."""

_MODELS = {model.__name__: model for model in (Policy, PolicyOverride, Stage, Limits, LimitsOverride)}

_FIELDS_OF_ANCHOR = {
    "occurred": (),
    "starts_at": ("starts_at",),
    "ends_at": ("starts_at", "minutes"),
    "goal_date": ("goal_date",),
    "until": ("until",),
    "not_before": ("not_before",),
}


class PolicyError(ValueError):
    """Policies that can't be used. Raised at start, listing every problem."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("timing policies are not usable:\n  " + "\n  ".join(problems))
        self.problems = problems


class Meaning(NamedTuple):
    """What one event type means to one policy."""

    policy: Policy
    holds: bool
    releases: bool
    disarms: tuple[Disarm, ...]
    arms: tuple[Arm, ...]


class Policies:
    """Immutable; `of` gives the set as it holds for one seeker of a tenant."""

    def __init__(
        self, limits: Limits, policies: Mapping[str, Policy], tenants: Mapping[str, Overrides] | None = None
    ) -> None:
        self.limits, self.by_name, self.tenants = limits, dict(policies), dict(tenants or {})
        self.from_file = tenants is not None
        """Whether somebody has said what tenants change, be it nothing."""
        self.of = lru_cache(maxsize=4096)(self._of)

    @cached_property
    def by_event(self) -> Mapping[str, tuple[Meaning, ...]]:
        """Event type → what it means to the policies that it arms, disarms, holds or releases."""
        found: dict[str, list[Meaning]] = {}
        for policy in self.by_name.values():
            for type in dict.fromkeys(event_types(policy)):
                found.setdefault(type, []).append(_meaning(type, policy))
        return {type: tuple(those) for type, those in found.items()}

    @cached_property
    def fingerprint(self) -> str:
        """Changes with anything about the policies, and with the calendar that they are reckoned in: timers computed
        under another are to be computed again. Ends with `CHANGED` where tenants change anything."""
        whole = [calendar.SOURCES, self.limits.model_dump(mode="json"), self.tenants]
        whole += [policy.model_dump(mode="json") for policy in self.by_name.values()]
        return _digest(whole) + (CHANGED if self.tenants else "")

    def _of(self, tenant: str, overrides: str = "{}") -> Policies:
        """The policies of a seeker whose overrides are the JSON object `overrides`; memoised."""
        result, seekers = self, json.loads(overrides)
        for layer, whose in ((self.tenants.get(tenant, {}), "tenant"), (seekers, "seeker")):
            if layer:
                result = result._with(layer, whose == "seeker")
        return result

    def _with(self, layer: Overrides, by_seeker: bool) -> Policies:
        policies = {name: _overridden(policy, layer.get(name), by_seeker) for name, policy in self.by_name.items()}
        limits = self.limits
        if layer.get(LIMITS):
            try:
                said = LimitsOverride.model_validate(layer[LIMITS])
                limits = Limits.model_validate({**limits.model_dump(), **_given(said)})
            except ValidationError:
                pass
        return Policies(limits, policies)

    def problems(self, overrides: Overrides, *, by_seeker: bool = True) -> list[str]:
        """What is wrong with overrides, for refusing them before they are in force; empty when nothing is."""
        found = []
        for name, settings in overrides.items():
            try:
                if name == LIMITS:
                    LimitsOverride.model_validate(settings)
                elif name not in self.by_name:
                    found.append(f"{name}: there is no such policy")
                elif by_seeker and not self.by_name[name].mutable:
                    found.append(f"{name}: a seeker can't change this policy")
                else:
                    _merged(self.by_name[name], settings, by_seeker)
            except (ValidationError, ValueError) as error:
                found += _messages(error, name)
        return found


def _meaning(type: str, policy: Policy) -> Meaning:
    return Meaning(
        policy,
        type in policy.held_by,
        type in policy.released_by,
        tuple(disarm for disarm in policy.disarmed_by if disarm.on == type),
        tuple(arm for arm in policy.armed_by if arm.on == type),
    )


def event_types(policy: Policy) -> Iterator[str]:
    """Every event type that a policy listens to."""
    yield from (trigger.on for trigger in (*policy.armed_by, *policy.disarmed_by))
    yield from (*policy.held_by, *policy.released_by)


def _given(model: BaseModel) -> dict[str, Any]:
    return model.model_dump(exclude_none=True)


def _digest(value: Any) -> str:
    return sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:8]


def _overridden(policy: Policy, settings: Any, by_seeker: bool) -> Policy:
    if not settings or (by_seeker and not policy.mutable):
        return policy
    try:
        return _merged(policy, settings, by_seeker)
    except ValueError:
        # Whoever does not want to hear of it is not told, whatever else is left aside of what they have set.
        off = isinstance(settings, Mapping) and settings.get("enabled") is False
        return _merged(policy, {"enabled": False}, by_seeker) if off else policy


def _merged(policy: Policy, settings: Any, by_seeker: bool) -> Policy:
    """`policy` with the settings of an override; raises ValueError where the result is not sound."""
    override = PolicyOverride.model_validate(settings)
    stages = {stage.name: stage for stage in policy.stages}
    for name, said in override.stages.items():
        if name not in stages:
            raise ValueError(f"it has no stage {name}, but {', '.join(stages)}")
        if by_seeker and stages[name].to != "seeker":
            raise ValueError(f"stage {name} is for the {stages[name].to}: a seeker can't change it")
        stages[name] = _differing(stages[name], said)
    changes = {**_given(override), "stages": [_given(stage) for stage in stages.values()]}
    digest = _digest([policy.override, _given(override)])
    return Policy.model_validate({**_given(policy), **changes, "override": digest})


def _differing(stage: Stage, said: StageOverride) -> Stage:
    had, changes = _given(stage), _given(said)
    for way in {"after", "before", "then"} & set(changes):
        if getattr(stage, way) is None:
            raise ValueError(f"stage {stage.name} is not counted with `{way}`")
        if "hours" in changes[way] and stage.span.hours is None:
            # It belongs to the day that the calendar leads to: of a few hours it would make most of a day.
            had.pop("at", None)
    return Stage.model_validate({**had, **changes})


def _messages(error: ValueError, name: str) -> list[str]:
    if isinstance(error, ValidationError):
        return [
            f"{'.'.join(map(str, (name, *one['loc'])))}: {in_words(one, _MODELS.get(error.title))}"
            for one in error.errors()
        ]
    return [f"{name}: {error}"]


def parse_policies(text: str, tenants: Mapping[str, Overrides] | None = None) -> Policies:
    """Policies from TOML like `policies.toml`, and what tenants override. Raises `PolicyError`."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PolicyError([str(error)]) from error
    problems = [f"{key}: not known here" for key in data if key not in {LIMITS, "policies"}]
    policies: dict[str, Policy] = {}
    limits: Limits | None = None
    try:
        limits = Limits.model_validate(data.get(LIMITS, {}))
    except ValidationError as error:
        problems += _messages(error, LIMITS)
    tables = data.get("policies", {})
    if not _is_tables(tables):
        problems.append("policies: each stands in a table [policies.<name>]")
        tables = {}
    for name, settings in tables.items():
        try:
            policies[name] = Policy.model_validate({**settings, "name": name})
        except ValidationError as error:
            problems += _messages(error, name)
    if problems or limits is None:
        raise PolicyError(problems)
    parsed = Policies(limits, policies, tenants)
    for tenant, overrides in parsed.tenants.items():
        problems += [f"tenant {tenant}: {problem}" for problem in parsed.problems(overrides, by_seeker=False)]
    if problems:
        raise PolicyError(problems)
    return parsed


def parse_tenant_overrides(text: str) -> dict[str, Overrides]:
    """TOML whose tables are `[<tenant>.<policy>]`: what tenants change. Raises `PolicyError`."""
    try:
        tenants = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PolicyError([str(error)]) from error
    problems = [
        f"{name}: settings stand in a table [<tenant>.<policy>]" for name in tenants if not _is_tables(tenants[name])
    ]
    problems += [
        f"{name}: no tenant is called so: lower-case letters, digits and hyphens, such as career-centre"
        for name in tenants
        if not re.fullmatch(TENANT, name)
    ]
    if problems:
        raise PolicyError(problems)
    return tenants


def _is_tables(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(each, dict) for each in value.values())


def check_policies(
    policies: Policies, events: Mapping[str, type[Event]], commands: Mapping[str, type[Command]]
) -> None:
    """That every event, field and command that the policies name exists. Raises `PolicyError`."""
    problems = []
    for policy in policies.by_name.values():
        for type in event_types(policy):
            if type not in events:
                problems.append(f"{policy.name}: there is no event {type}")
        problems += [f"{policy.name}: there is no command {name}" for name in policy.actions if name not in commands]
        for trigger in (*policy.armed_by, *policy.disarmed_by):
            fields = list(_fields(trigger))
            known = events[trigger.on].model_fields if trigger.on in events else fields
            problems += [f"{policy.name}: {trigger.on} has no {field}" for field in fields if field not in known]
    if problems:
        raise PolicyError(problems)


def _fields(trigger: Trigger) -> Iterator[str]:
    """Those of its event that a trigger looks at."""
    yield from trigger.where
    yield from trigger.unless
    if isinstance(trigger, Arm):
        yield from _FIELDS_OF_ANCHOR[trigger.anchor]
        yield from () if trigger.once_for is None else (trigger.once_for,)
    named = getattr(trigger, "through", None) or getattr(trigger, "of", None)
    if named is not None:
        yield named


@cache
def default_policies() -> Policies:
    """The policies of this release."""
    return parse_policies(_of_this_release())


def policies_with(overrides: str) -> Policies:
    """The policies of this release and, as TOML like `parse_tenant_overrides` takes, what tenants change of them.

    Raises `PolicyError`.
    """
    return parse_policies(_of_this_release(), parse_tenant_overrides(overrides))


def other_policies(text: str, today: Policies) -> Policies:
    """Policies to try instead of today's: as TOML like `policies.toml`, all of them, of which tenants change what they
    do today; or as TOML like `parse_tenant_overrides` takes, those of this release with what tenants change.

    Raises `PolicyError`.
    """
    try:
        whole = not {LIMITS, "policies"}.isdisjoint(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise PolicyError([str(error)]) from error
    return parse_policies(text, today.tenants) if whole else policies_with(text)


def _of_this_release() -> str:
    return files("shared.timing").joinpath("policies.toml").read_text("utf-8")
