"""Runs a program that does not outlive the process that started it, if need be as another user.

On Linux the kernel is asked for a signal when the parent is gone (PR_SET_PDEATHSIG). It counts the *thread* that
started the program as the parent, so start programs from a thread that lives long; and it forgets the wish when the
user changes, so the user is changed first. Elsewhere than on Linux the program is just run.

Programs run by this file executed as a script: it replaces itself by them, so their pid is the one that was started.
"""

import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def attached(argv: list[str], on_parents_death: signal.Signals, user: str | None = None) -> list[str]:
    """Return the argv that runs `argv` attached to the calling process."""
    import shutil  # here, because the wrapper has no use for it and starts often

    parent = str(os.getpid())
    program = shutil.which(argv[0]) or argv[0]
    return [sys.executable, "-I", "-S", __file__, parent, str(int(on_parents_death)), user or "", program, *argv[1:]]


def _become(user: str) -> None:
    import pwd

    entry = pwd.getpwnam(user)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def _main(parent: str, on_parents_death: str, user: str, *argv: str) -> None:
    library = None
    if sys.platform == "linux":
        import ctypes  # now: the other user may not be able to read Python's library

        library = ctypes.CDLL(None)
    if user:
        _become(user)
    if library:
        library.prctl(PR_SET_PDEATHSIG, int(on_parents_death))
        if os.getppid() != int(parent):
            sys.exit("The parent is gone already.")
    try:
        os.execv(argv[0], argv)  # noqa: S606
    except OSError as error:
        sys.exit(f"{argv[0]} cannot be run: {error.strerror}")


if __name__ == "__main__":
    _main(*sys.argv[1:])
