"""What an operator does with an installation in containers. Wants docker, make and Python 3.11, and no environment."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - nobody has checked before
    sys.exit("Vestnik needs Python 3.11 or newer; PYTHON=python3.12 names another.")


class OpsError(Exception):
    """A sentence for the operator: what is wrong, and what to do."""
