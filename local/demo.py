"""`make demo`: makes the demo in the data of `make run`, while that runs, and says who can sign in."""

import os
import subprocess
import sys

from dotenv import dotenv_values

from local import LocalError, probes
from local.configuration import CHOSEN, Configuration, given, value
from local.run import ROOT, WEB_MANAGE, WRONG_CONFIGURATION


def prepare() -> None:
    """Set in the environment what `make run` chose. Raises LocalError where the demo could not be made, or not seen."""
    configuration = Configuration.read(ROOT)
    if not configuration.own_mail_service:
        raise LocalError("The demo's letters are for the inbox, but MAIL_SERVICE_URL names another service.")
    chosen = configuration.data / CHOSEN
    if not chosen.exists():
        raise LocalError("Start `make run` first, and leave it running: there is no data yet.")
    os.environ.update({name: text for name, text in dotenv_values(chosen).items() if text and not given(name)})
    if given("DATABASE_URL"):
        try:
            probes.require_database("DATABASE_URL", value("DATABASE_URL"))
        except LocalError as failure:
            raise LocalError(f"Start `make run` first, and leave it running. {failure}") from None


def main() -> int:
    """Make the demo; return the exit status."""
    try:
        prepare()
    except LocalError as failure:
        print(failure, file=sys.stderr)
        return WRONG_CONFIGURATION
    return subprocess.run([sys.executable, WEB_MANAGE, "demo"], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
