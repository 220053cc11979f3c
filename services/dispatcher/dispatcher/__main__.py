"""`python -m dispatcher [health] control|bulk|scheduler|bounces`: the dispatcher's processes, each with the options it
needs; or, with `health`, whether that part works (health.py).
"""

import gc
import importlib
import multiprocessing
import os
import sys
from contextlib import suppress
from pathlib import Path

from vestnik import logs  # nothing that imports dramatiq, which reads its variables just once

# Threads of one process share an interpreter: more lanes than one in a process made smaller claims and fewer letters a
# second. Fetching one message ahead per thread would let one process take the lanes that another could work.
# Six threads of control may be busy for minutes: two with imports, one each with account mail, an erasure, public pages
# and figures. Two are left to launches.
SHAPES = {"control": ("1", "8"), "bulk": (os.environ.get("BULK_PROCESSES", "2"), "1")}

# How long letters in hand may take to be settled before the process ends all the same, in milliseconds.
SHUTDOWN = "15000"


def main() -> None:
    """Become the part that the command line names, or tell whether it works; exit with 2 for anything else."""
    match sys.argv[1:]:
        case ["health", ("control" | "bulk" | "scheduler" | "bounces") as part]:
            from dispatcher import health

            sys.exit(health.main(part, int(SHAPES[part][0]) if part in SHAPES else 0))
        case [part]:
            pass
        case _:
            part = ""
    os.environ["DJANGO_SETTINGS_MODULE"] = "dispatcher.settings"
    os.environ["DISPATCHER_PART"] = part
    if os.environ.get("LOG_FORMAT") == logs.JSON:  # the masters' own lines; what workers log, the settings say
        logs.configure(logs.configuration(logs.JSON, "INFO"))
    if part == "scheduler":
        from dispatcher.main import schedule

        with suppress(KeyboardInterrupt):
            schedule.run()
    elif part == "bounces":
        from dispatcher.bounces.main import run

        sys.exit(run())
    elif part in SHAPES:
        processes, threads = SHAPES[part]
        os.environ["dramatiq_worker_timeout"] = "100"  # ms between looks at an idle queue: delayed jobs start in time
        os.environ["dramatiq_queue_prefetch"] = threads
        from dramatiq import cli  # reads both

        if sys.platform == "linux":  # from Python 3.14 on a server beside the master would fork, and be their parent
            multiprocessing.set_start_method("fork")
            importlib.import_module("dispatcher.main")  # once: the workers begin with it, and share its memory
            gc.freeze()
        argv = ["dispatcher.main", "--processes", processes, "--threads", threads, "--queues", part]
        argv += ["--worker-shutdown-timeout", SHUTDOWN]
        sys.argv = [
            str(Path(cli.__file__).with_name("__main__.py")),
            *argv,
        ]  # by that name it begins again after SIGHUP
        sys.exit(cli.main())  # type: ignore[no-untyped-call]
    else:
        sys.stderr.write("usage: python -m dispatcher [health] control|bulk|scheduler|bounces\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
