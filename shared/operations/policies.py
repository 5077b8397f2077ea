"""The timing policies in force: those of this release, and what the operator lets tenants change of them."""

from __future__ import annotations

from pathlib import Path

from shared.domain.catalogue import COMMANDS, EVENTS
from shared.timing.policies import Policies, check_policies, default_policies, policies_with


def load_policies(overrides: Path | None) -> Policies:
    """Read the file that `KITHLOG_POLICIES` names, if any, and check everything. Raises `PolicyError`, `OSError`."""
    policies = default_policies() if overrides is None else policies_with(overrides.read_text("utf-8"))
    check_policies(policies, EVENTS, COMMANDS)
    return policies
