"""The client can be taken away: it needs nothing else of this repository."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import shared.client

PROGRAM = """
import sys
import shared.client, shared.client.testing
loaded = {name.partition(".")[0] for name in sys.modules}
foreign = loaded & {"asyncpg", "faststream", "fastapi", "structlog", "services", "deploy"}
print(sorted(foreign), sorted(name for name in sys.modules if name.startswith("shared") and "client" not in name))
"""


def test_a_copy_of_its_folder_is_enough(tmp_path: Path) -> None:
    """Given nothing but the folder, when it is imported, then it works, and has loaded no library of the services."""
    shutil.copytree(Path(shared.client.__file__).parent, tmp_path / "shared" / "client")
    shown = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": ""},
    )
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.strip() == "[] ['shared']"
