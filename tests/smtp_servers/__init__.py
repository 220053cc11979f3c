"""Real SMTP servers for tests: they check what they receive, record every letter, and misbehave by script.

with RecordingServer() as server:
    server.always("rcpt", Say(550, "5.1.1 no such user"), recipient="bob@example.org")
    …
    letters = server.wait_for(3)
assert server.violations == []
"""

from tests.smtp_servers.certificate import Certificate
from tests.smtp_servers.conversation import Received
from tests.smtp_servers.script import Drip, Drop, Endless, Hang, Keep, Late, Raw, Say
from tests.smtp_servers.server import RecordingServer

__all__ = [
    "Certificate",
    "Drip",
    "Drop",
    "Endless",
    "Hang",
    "Keep",
    "Late",
    "Raw",
    "Received",
    "RecordingServer",
    "Say",
]
