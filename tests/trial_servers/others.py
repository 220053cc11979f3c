"""Exim and OpenSMTPD, unpacked into a folder of ours: `python -m tests.trial_servers.others` fetches them.

As Debian packages they conflict with Postfix, and want users of their own: they are not installed, and see users and
folders that are there for nobody else (a mount namespace).
"""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.trial_servers.processes import as_root, folder, found, free_port, missing, wait_for_greeting

CACHE = Path(__file__).parents[2] / ".local" / "trial-servers"
PACKAGES = ["exim4-daemon-light", "libidn12", "opensmtpd", "libevent-2.1-7"]
USERS = {"Debian-exim": 4001, "opensmtpd": 4002, "opensmtpq": 4003}
PRIVATE = """
set -e
mount --bind {place}/passwd /etc/passwd
mount --bind {place}/group /etc/group
for each in /var/spool /var/lib /run; do mount -t tmpfs none "$each"; done
mkdir -p /var/spool/smtpd /var/lib/opensmtpd/empty
chmod 711 /var/spool/smtpd /var/lib/opensmtpd/empty
/sbin/ldconfig -X -C {place}/libraries {libraries}
mount --bind {place}/libraries /etc/ld.so.cache
exec {command}
"""

EXIM = """
exim_path = {program}
keep_environment =
exim_user = Debian-exim
exim_group = Debian-exim
spool_directory = {place}/spool
log_file_path = {place}/%slog
pid_file_path = {place}/exim.pid
primary_hostname = exim.trial.example
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
tls_advertise_hosts =
host_lookup =
rfc1413_hosts =
queue_only_load = 1000
smtp_accept_queue_per_connection = 0
smtp_accept_queue = 0
queue_run_max = 5
smtp_accept_max = 200
{settings}
acl_smtp_rcpt = check
begin acl
check:
  {acl}
begin routers
onwards:
  driver = manualroute
  route_list = * 127.0.0.1::{sink} byname
  transport = onwards
  self = send
begin transports
onwards:
  driver = smtp
begin retry
* * F,1h,2s
"""
OPENSMTPD = """
listen on 127.0.0.1 port {port} hostname opensmtpd.trial.example
action "onwards" relay host smtp://127.0.0.1:{sink}
{rule}
"""


class Server:
    """One of them, running on its port, or not; it takes letters for anybody, or for nobody."""

    def __init__(self, place: Path, sink: int, **settings: str) -> None:
        self.place, self.sink, self.settings = place, sink, settings
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def command(self, takes: bool) -> list[str]:
        """Write what it is to be told, and say how it is started."""
        raise NotImplementedError

    @property
    def log(self) -> Path:
        return self.place / "output"

    def start(self, takes: bool) -> None:
        command = self.command(takes)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        wait_for_greeting(self.port, self.log, self._process)

    def stop(self) -> None:
        """It and whatever it has started."""
        if self._process is None:
            return
        process, self._process = self._process, None
        os.killpg(process.pid, 15)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait(10)

    def _unpacked(self, program: str, *arguments: str) -> list[str]:
        as_root()
        path = CACHE / "debian" / "usr" / "sbin" / program
        if not path.exists():
            missing(f"{program} is not there: `make trial-servers` fetches it")
        found("unshare", "util-linux")
        for name, line in (("passwd", "{0}:x:{1}:{1}::/nonexistent:/usr/sbin/nologin\n"), ("group", "{0}:x:{1}:\n")):
            ours = "".join(line.format(*user) for user in USERS.items())
            (self.place / name).write_text(Path("/etc", name).read_text() + ours)
        libraries = map(str, (CACHE / "debian" / "usr" / "lib").glob("*-linux-gnu"))
        # By the loader's cache: Exim's own children, which run with its user's rights, do not read LD_LIBRARY_PATH.
        script = PRIVATE.format(
            place=self.place, libraries=shlex.join(libraries), command=shlex.join([str(path), *arguments])
        )
        return ["unshare", "--mount", "sh", "-c", script]


class Exim(Server):
    def command(self, takes: bool) -> list[str]:
        (self.place / "spool").mkdir(exist_ok=True)
        for path in (self.place, self.place / "spool"):
            os.chown(path, USERS["Debian-exim"], USERS["Debian-exim"])
        acl = "accept" if takes else "deny message = relay not permitted"
        settings = "\n".join(f"{name} = {value}" for name, value in self.settings.items())
        program = CACHE / "debian" / "usr" / "sbin" / "exim4"
        text = EXIM.format(
            program=program, place=self.place, port=self.port, sink=self.sink, acl=acl, settings=settings
        )
        (self.place / "exim.conf").write_text(text)
        return self._unpacked("exim4", "-C", str(self.place / "exim.conf"), "-bdf", "-q5s")


class OpenSmtpd(Server):
    def command(self, takes: bool) -> list[str]:
        rule = (
            'match from any for any action "onwards"'
            if takes
            else 'match from any for domain "x.example" action "onwards"'
        )
        path = self.place / "smtpd.conf"
        path.write_text(OPENSMTPD.format(port=self.port, sink=self.sink, rule=rule))
        path.chmod(0o600)
        return self._unpacked("smtpd", "-d", "-f", str(path))


@contextmanager
def running(kind: type[Server], sink: int, takes: bool, **settings: str) -> Iterator[Server]:
    """A server of that kind that hands what it takes on to `sink`, the port of a server of ours."""
    with folder(kind.__name__.lower()) as place:
        server = kind(place, sink, **settings)
        try:
            server.start(takes)
            yield server
        finally:
            server.stop()


def fetch() -> None:
    """Unpack what is not there yet; what cannot be had is left out, and its tests are skipped."""
    debian = CACHE / "debian"
    if not (debian / "usr" / "sbin" / "smtpd").exists() and shutil.which("apt-get"):
        debian.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "-qq", "download", *PACKAGES], cwd=debian, check=False)
        for package in debian.glob("*.deb"):
            subprocess.run(["dpkg", "-x", package, debian], check=True)


if __name__ == "__main__":
    fetch()
    sys.exit(0)
