"""A real HTTP server for tests: takes letters as docs/http_api.md describes it, records them, misbehaves by script.

with RecordingServer() as server:
    server.always("answer", Answer(422, {"error": {"message": "no such user"}}), recipient="bob@example.org")
    …
    letters = server.wait_for(3)
assert server.violations == []
"""

from tests.http_servers.conversation import Received
from tests.http_servers.script import Answer, Drip, Drop, Endless, Hang, Keep, Late, Raw, Reset
from tests.http_servers.server import RecordingServer

__all__ = [
    "Answer",
    "Drip",
    "Drop",
    "Endless",
    "Hang",
    "Keep",
    "Late",
    "Raw",
    "Received",
    "RecordingServer",
    "Reset",
]
