"""Becomes another program that cannot outlive the one that starts it: the launcher, or make, which starts the launcher.

Run as a script: ``python -I -S tether.py SIGNAL PARENT_PID USER PROGRAM ARGUMENT…``; USER is ``-`` for no
change, PROGRAM is a path. Once it has changed its user it may be unable to read Python's own library, so
nothing is imported after that.

The kernel is asked to send SIGNAL when the parent ends, however it ends (``PR_SET_PDEATHSIG``). That
request has to be made by the child itself, after it has changed its user (a change of user clears it) and
before it becomes the program (``exec`` keeps it). A small program of its own does this rather than
``preexec_fn``, which is not safe in a process that has threads.
"""

import ctypes
import os
import pwd
import resource
import sys

PR_SET_PDEATHSIG = 1
# With a limit of a thousand million, as containers tend to have, Erlang reserves gigabytes for its files.
OPEN_FILES = 65_536


def become(user: str) -> None:
    account = pwd.getpwnam(user)
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)


def main() -> None:
    death_signal, parent, user, *command = sys.argv[1:]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES if hard < 0 else min(OPEN_FILES, hard), hard))
    if user != "-":
        become(user)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0) != 0:
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != int(parent):
        sys.exit("the parent ended before its child had begun")
    try:
        os.execv(command[0], command)
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
