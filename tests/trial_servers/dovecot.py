"""A Dovecot with a configuration of our own, in a folder of its own, on a port of loopback: one mailbox, over TLS."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from tests.scripted_servers.certificate import Certificate
from tests.timing import wait_until
from tests.trial_servers.processes import PATH, as_root, folder, found, free_port, listens, missing

USER, PASSWORD = "bounces@example.org", "pass/word@ü"
CONFIGURATION = """\
base_dir = {place}/run
state_dir = {place}/state
log_path = {place}/dovecot.log
protocols = imap
listen = 127.0.0.1
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{key}
disable_plaintext_auth = yes
mail_location = maildir:{place}/maildir
first_valid_uid = 1
default_login_user = nobody
default_internal_user = mail
default_internal_group = mail
passdb {{
  driver = passwd-file
  args = {place}/users
}}
userdb {{
  driver = static
  args = uid=mail gid=mail home={place}
}}
service imap-login {{
  inet_listener imap {{
    port = 0
  }}
  inet_listener imaps {{
    port = {port}
    ssl = yes
  }}
}}
"""


class Dovecot:
    """One that runs."""

    def __init__(self, place: Path, port: int) -> None:
        self.place = place
        self.port = port
        self.url = f"imaps://{quote(USER, safe='')}:{quote(PASSWORD, safe='')}@localhost:{port}/INBOX"
        self._number = 0
        self._process: subprocess.Popen[bytes] | None = None

    def put(self, source: bytes) -> None:
        """Put a mail into the mailbox, as a server that delivers does."""
        self._number += 1
        path = self.place / "maildir" / "new" / f"{self._number}.trial"
        path.with_name(f".{path.name}").write_bytes(source)
        shutil.chown(path.with_name(f".{path.name}"), "mail", "mail")
        path.with_name(f".{path.name}").rename(path)

    @property
    def unseen(self) -> int:
        """How many mails nobody has looked at."""
        found = [path.name for path in self.place.glob("maildir/*/*.trial*")]
        return sum("S" not in name.partition(":2,")[2] for name in found)

    def stop(self) -> None:
        """Stop it; the mailbox stays."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(20)

    def start(self) -> None:
        """Start it (again), and wait until it answers."""
        command = [found("dovecot", "Dovecot"), "-F", "-c", str(self.place / "dovecot.conf")]
        self._process = subprocess.Popen(
            command, env={"PATH": PATH}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until(lambda: listens(self.port), 20)


@contextmanager
def dovecot(certificate: Certificate) -> Iterator[Dovecot]:
    """A Dovecot 2.3 (2.4 is configured in another way)."""
    program = found("dovecot", "Dovecot (dovecot-imapd)")
    as_root()
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    if not version.startswith("2.3."):
        missing(f"Dovecot 2.3 is wanted, not {version.strip()}")
    with folder("dovecot") as place:
        for name in ("maildir", "maildir/new", "maildir/cur", "maildir/tmp", "state", "run"):
            (place / name).mkdir()
            shutil.chown(place / name, "mail", "mail")
        (place / "users").write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n")
        running = Dovecot(place, free_port())
        (place / "dovecot.conf").write_text(
            CONFIGURATION.format(
                place=place, port=running.port, certificate=certificate.certificate, key=certificate.key
            )
        )
        running.start()
        try:
            yield running
        finally:
            running.stop()
