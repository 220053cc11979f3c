"""An OpenDKIM that looks at what a server of others takes (a milter), on a port of loopback, with a DNS of our own."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.mail.verifiers import opendkim_configuration, opendkim_program
from tests.timing import wait_until
from tests.trial_servers.processes import PATH, folder, free_port, listens


@contextmanager
def verifier() -> Iterator[str]:
    """Where it is, as Postfix's `smtpd_milters` names it."""
    program = opendkim_program()
    port = free_port()
    with folder("opendkim") as place:
        configuration = place / "opendkim.conf"
        configuration.write_text(f"{opendkim_configuration(place)}Socket inet:{port}@127.0.0.1\n")
        command = [program, "-f", "-x", str(configuration)]
        process = subprocess.Popen(command, env={"PATH": PATH}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            wait_until(lambda: listens(port), 20)
            yield f"inet:127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(20)
