"""Real servers for tests: they check what they receive, record every letter, and misbehave by script.

with SmtpServer() as server:
    server.always("rcpt", Say(550, "5.1.1 no such user"), recipient="bob@example.org")
    …
    letters = server.wait_for(3)
assert server.violations == []

`HttpServer` takes letters as docs/http_api.md describes it, or as a mail service's page does (`APIS`). A further
protocol is a `Conversation` of its own, a `ScriptedServer` that begins it, and a `Reply` in its words.
"""

from tests.scripted_servers.certificate import Certificate
from tests.scripted_servers.http import Answer, Api, HttpServer
from tests.scripted_servers.mail_apis import APIS
from tests.scripted_servers.script import Drip, Drop, Endless, Hang, Keep, Late, Raw, Reset
from tests.scripted_servers.server import ScriptedServer
from tests.scripted_servers.smtp import Say, SmtpLetter, SmtpServer

__all__ = [
    "APIS",
    "Answer",
    "Api",
    "Certificate",
    "Drip",
    "Drop",
    "Endless",
    "Hang",
    "HttpServer",
    "Keep",
    "Late",
    "Raw",
    "Reset",
    "Say",
    "ScriptedServer",
    "SmtpLetter",
    "SmtpServer",
]
