"""A BIND with zones of our own, in a folder of its own, on a port of loopback: what the DNS says by others' code."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.timing import wait_until
from tests.trial_servers.processes import PATH, folder, found, free_port, listens

CONFIGURATION = """\
options {{
  directory "{place}";
  pid-file "{place}/named.pid";
  session-keyfile "{place}/session.key";
  listen-on port {port} {{ 127.0.0.1; }};
  listen-on-v6 {{ none; }};
  recursion no;
  dnssec-validation no;
}};
controls {{ }};
"""
ZONE = 'zone "{name}" {{ type primary; file "{name}.zone"; }};\n'
HEAD = """\
$TTL 60
@ IN SOA ns.{name}. hostmaster.{name}. 1 3600 600 86400 60
@ IN NS ns.{name}.
ns IN A 127.0.0.1
"""


@contextmanager
def named(zones: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """Its address and port. It knows these zones, by name the lines of a zone file, and refuses all else."""
    program, port = found("named", "bind9"), free_port()
    with folder("named") as place:
        configuration = CONFIGURATION.format(place=place, port=port)
        for name, lines in zones.items():
            configuration += ZONE.format(name=name)
            (place / f"{name}.zone").write_text(HEAD.format(name=name) + lines)
        (place / "named.conf").write_text(configuration)
        command = [program, "-g", "-c", str(place / "named.conf")]
        with (place / "log").open("w") as log:
            process = subprocess.Popen(command, env={"PATH": PATH}, stdin=subprocess.DEVNULL, stderr=log)
        try:
            wait_until(lambda: listens(port) and "running" in (place / "log").read_text(), 20)
            yield "127.0.0.1", port
        finally:
            process.terminate()
            process.wait(20)
