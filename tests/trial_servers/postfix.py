"""A Postfix with a configuration of our own, in a folder of its own, on ports of loopback."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.trial_servers.processes import PATH, as_root, folder, found, free_port, wait_for_greeting

MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

USUAL = {
    "compatibility_level": "3.6",
    "myhostname": "mx.trial.example",
    "mydestination": "",
    "mynetworks": "127.0.0.0/8",
    "inet_interfaces": "127.0.0.1",
    "inet_protocols": "ipv4",
    "alias_maps": "",
    "alias_database": "",
    "local_recipient_maps": "",
    "maximal_queue_lifetime": "1h",
    "smtp_tls_security_level": "none",
    "default_process_limit": "40",
    # What it takes it hands on quickly, and without asking DNS.
    "default_destination_concurrency_limit": "20",
    "initial_destination_concurrency": "20",
    "smtp_host_lookup": "native",
    "disable_dns_lookups": "yes",
    # Letters come from one address; that is meant to be no offence, but where a test says so.
    "smtpd_client_connection_count_limit": "0",
    "smtpd_client_event_limit_exceptions": "",
}


class Postfix:
    """One that runs."""

    def __init__(self, place: Path, port: int) -> None:
        self.port = port
        self._place = place
        self._settings: dict[str, str] = {}

    @property
    def log(self) -> Path:
        return self._place / "log" / "postfix.log"

    def configure(self, **settings: str) -> None:
        """Change some settings, at once."""
        self._settings.update(settings)
        lines = [f"{name} = {value}\n" for name, value in self._settings.items()]
        (self._place / "conf" / "main.cf").write_text("".join(lines))

    def reload(self, **settings: str) -> None:
        """Change some settings while it runs; connections that are open stay so until they are used once more."""
        self.configure(**settings)
        self.command("reload")

    def command(self, name: str) -> None:
        """`postfix start`, `stop`, `reload`."""
        arguments = ["postfix", "-c", str(self._place / "conf"), name]
        done = subprocess.run(
            arguments, capture_output=True, text=True, timeout=60, check=False, env={"PATH": PATH, "LANG": "C"}
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}{self._logged()}"

    def _logged(self) -> str:
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""


@contextmanager
def postfix(sink: int, **settings: str) -> Iterator[Postfix]:
    """A Postfix that hands what it takes on to `sink`, the port of a server of ours."""
    found("postfix", "Postfix")
    as_root()
    daemons = subprocess.run(
        [found("postconf", "Postfix"), "-dh", "daemon_directory"], capture_output=True, text=True, check=True
    ).stdout.strip()
    with folder("postfix") as place:
        for name in ("conf", "spool", "data", "log"):
            (place / name).mkdir()
        shutil.chown(place / "data", "postfix")
        running = Postfix(place, free_port())
        (place / "conf" / "master.cf").write_text(MASTER.format(port=running.port))
        running.configure(
            **USUAL,
            queue_directory=str(place / "spool"),
            data_directory=str(place / "data"),
            daemon_directory=daemons,
            maillog_file=str(running.log),
            maillog_file_prefixes=str(place),
            default_transport=f"smtp:[127.0.0.1]:{sink}",
            relay_transport=f"smtp:[127.0.0.1]:{sink}",
        )
        running.configure(**settings)
        running.command("start")
        try:
            wait_for_greeting(running.port, running.log)
            yield running
        finally:
            running.command("stop")
