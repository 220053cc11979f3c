"""What an operator does with an installation in containers. Wants docker, make and Python 3.11, and no environment."""

import signal
import sys
from collections.abc import Callable

if sys.version_info < (3, 11):  # noqa: UP036 - nobody has checked before
    sys.exit("Vestnik needs Python 3.11 or newer; PYTHON=python3.12 names another.")


class OpsError(Exception):
    """A sentence for the operator: what is wrong, and what to do."""


def run_command(main: Callable[[], object]) -> None:
    """Run a command of the operator's; the exit code is 1 after an OpsError, and 130 after Ctrl-C.

    SIGTERM and a terminal that goes away (SIGHUP) end it like Ctrl-C: what is half done is cleared away.
    """
    for each in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(each) is signal.SIG_DFL:  # nohup has it ignored
            signal.signal(each, signal.default_int_handler)
    try:
        main()
    except OpsError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
