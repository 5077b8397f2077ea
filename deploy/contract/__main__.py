"""Write the contract's documents, or tell what the code would break of them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from deploy.contract.documents import FOLDER, committed, generated, write
from shared.contract.comparing import Change, compare
from shared.contract.reading import unreadable

USAGE = """\
python -m deploy.contract check          fail when the code breaks the committed documents
python -m deploy.contract write          write them anew, unless that breaks something
python -m deploy.contract write --break  write them whatever it breaks: before anybody depends on them"""


def main(arguments: Sequence[str], folder: Path = FOLDER) -> int:
    """0: nothing is broken; 1: something is, and nothing was written; 2: not understood."""
    if arguments not in (["check"], ["write"], ["write", "--break"]):
        print(USAGE, file=sys.stderr)
        return 2
    released = committed(folder)
    made = generated(released)
    changes = [*compare(released, made), *unreadable(released)]
    broken = [change for change in changes if change.breaking]
    _tell(broken)
    if broken and "--break" not in arguments:
        return 1
    if arguments[0] == "write":
        changed = write(made, folder)
        print(f"{len(changed)} of {len(made)} documents changed")
    elif released != made:
        print(f"the contract holds; {len(changes)} changes break nobody: write them down with `make schemas`")
    else:
        print(f"the contract holds: {len(made)} documents")
    return 0


def _tell(broken: Sequence[Change]) -> None:
    if broken:
        print(f"{len(broken)} changes break those who use the contract:", file=sys.stderr)
    for change in broken:
        print(f"  {change}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
