"""`python -m dispatcher control|bulk|scheduler`: the dispatcher's processes, each with the options it needs."""

import os
import sys
from pathlib import Path

# Threads of one process share an interpreter: more lanes than one in a process made smaller claims and fewer letters a
# second. Fetching one message ahead per thread would let one process take the lanes that another could work.
# Six threads of control may be busy for minutes: two with imports, one each with account mail, an erasure, public pages
# and figures. Two are left to launches.
SHAPES = {"control": ("1", "8"), "bulk": (os.environ.get("BULK_PROCESSES", "2"), "1")}

# How long letters in hand may take to be settled before the process ends all the same, in milliseconds.
SHUTDOWN = "15000"


def main() -> None:
    """Become the part that the command line names; exit with 2 for any other."""
    part = sys.argv[1] if len(sys.argv) == 2 else ""
    os.environ["DJANGO_SETTINGS_MODULE"] = "dispatcher.settings"
    if part == "scheduler":
        argv = [str(Path(sys.executable).with_name("periodiq")), "dispatcher.main"]
    elif part in SHAPES:
        processes, threads = SHAPES[part]
        os.environ["dramatiq_worker_timeout"] = "100"  # ms between looks at an idle queue: delayed jobs start in time
        os.environ["dramatiq_queue_prefetch"] = threads
        argv = ["-m", "dramatiq", "dispatcher.main", "--processes", processes, "--threads", threads, "--queues", part]
        argv += ["--worker-shutdown-timeout", SHUTDOWN]
    else:
        sys.stderr.write("usage: python -m dispatcher control|bulk|scheduler\n")
        sys.exit(2)
    os.execv(sys.executable, [sys.executable, *argv])  # noqa: S606


if __name__ == "__main__":
    main()
