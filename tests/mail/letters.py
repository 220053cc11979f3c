"""Letters as Vestnik writes them, one of each kind."""

from functools import cache
from typing import Any

from tests.mail.verifiers import DOMAIN, NOON
from vestnik.mail import headers
from vestnik.mailings.rendering import CompiledMessage, Content

HEAD = f"From: news@{DOMAIN}\r\nTo: bob@example.com\r\nSubject: News\r\n\r\n".encode()
"""The header of the shortest letter."""

HTML = "<p>  Здравствуйте, {{ full_name }}!</p>\n\n\n<p style='color: red'>News\t\tof today </p>\n"
TEXT = "Hello {{ full_name }},\n\n    indented  text \t \n.\nFrom here\n\n\n"

LETTERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "text": ({"text": TEXT, "html": ""}, {}),
    "html": ({"text": "", "html": HTML}, {}),
    "html and text": ({}, {}),
    "one click": ({"one_click": True, "headers": headers.of_a_list("1.example.org", "a:b:c:vestnik")}, {}),
    "a service's lines": ({"headers": "X-PM-Message-Stream: broadcast\r\nX-Letter: {letter}\r\n"}, {}),
    "no answers": ({"reply_to": ""}, {}),
    "names that are not ASCII": ({"sender_name": "Вестник, «новости»"}, {"full_name": "Борис Пекарь " * 9}),
    "a long subject": ({"subject": "News of the house and of the garden " * 20}, {}),
    "a long Russian subject": ({"subject": "{{ full_name }}, новости дома и сада " * 20}, {}),
    "a UTF-8 recipient": ({}, {"address": "борис@example.com", "full_name": "Борис"}),
    "spaces only": ({"text": "   \n\t\n \n", "html": ""}, {}),
    "a large one": ({"html": HTML * 2000}, {}),
}
"""What is particular in a letter's content, and of its client."""

USUAL = {
    "subject": "News",
    "html": HTML,
    "text": TEXT,
    "sender": f"news@{DOMAIN}",
    "sender_name": "News",
    "reply_to": "alice@example.org",
}
CLIENT = {
    "key": f"0197f3b2c5d84e0c@mail.{DOMAIN}",
    "address": "bob@example.com",
    "full_name": "Bob",
    "attributes": {},
    "date": NOON,
    "unsubscribe_url": f"https://mail.{DOMAIN}/u/{'a' * 60}",
    "unsubscribe_address": f"stop-{'a' * 30}@mail.{DOMAIN}",
}


@cache
def letter(name="one click"):
    content, client = LETTERS[name]
    return CompiledMessage(Content(**{**USUAL, **content})).render(**{**CLIENT, **client})
