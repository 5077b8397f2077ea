"""`immutable` keeps its word by type checking: that it does is tested with the type checker itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_ASSIGNS = """
from shared.immutable import immutable

@immutable
class Value:
    number: int

value = Value(1)
value.number = 2
"""


def test_assigning_to_a_field_is_refused(tmp_path: Path) -> None:
    """Given code that assigns to a field of an immutable value, then mypy refuses it and nothing else."""
    (tmp_path / "assigns.py").write_text(_ASSIGNS, "utf-8")
    mypy = [sys.executable, "-m", "mypy", "--no-error-summary", "--cache-dir", str(tmp_path)]
    file = str(tmp_path / "assigns.py")
    checked = subprocess.run([*mypy, file], cwd=_ROOT, capture_output=True, text=True, check=False)
    assert 'Property "number" defined in "Value" is read-only' in checked.stdout, checked.stdout + checked.stderr
    assert checked.stdout.count("error:") == 1
