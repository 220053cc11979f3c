"""`make run`, whose process manager is told that a part which lived for a moment is not in a loop of crashes.

It would soon wait half a minute before it starts again what is killed every few seconds.
"""

import sys

from local import processes, run

processes.STEADY_SECONDS = 2.0

if __name__ == "__main__":
    sys.exit(run.main())
