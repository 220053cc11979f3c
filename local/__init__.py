"""What stands in for the outside world on one machine: database, queue, external service, process manager."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036  (said here, where an older one still understands)
    sys.exit("Vestnik needs Python 3.11 or newer; this one is {}.{}.".format(*sys.version_info))


class LocalError(Exception):
    """Something on this machine is in the way; the text is a sentence for the person who started us."""
