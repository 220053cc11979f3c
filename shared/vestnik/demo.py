"""Something to look at in an empty installation: an owner, a dozen clients, and a first mailing under way."""

import base64
import hashlib
import hmac
from datetime import timedelta

from django.conf import settings
from django.db import transaction

from vestnik import clock
from vestnik.accounts.models import User
from vestnik.clients import verbs as clients
from vestnik.mailings import verbs as mailings

EMAIL = "demo@vestnik.test"

PEOPLE = (
    ("anna.sergeeva@example.org", "Анна Сергеева"),
    ("boris.orlov@example.org", "Борис Орлов"),
    ("clara.jensen@example.org", "Clara Jensen"),
    ("david.okafor@example.org", "David Okafor"),
    ("elena.kim@example.org", "Елена Ким"),
    ("fjodor.alyokhin@example.org", "Фёдор Алёхин"),
    ("grace.nakamura@example.org", "Grace Nakamura"),
    ("hugo.marchand@example.org", "Hugo Marchand"),
    ("irina.zaitseva@example.org", "Ирина Зайцева"),
    ("jonas.weber@example.org", "Jonas Weber"),
    ("ksenia.volkova@example.org", "Ксения Волкова"),
    ("liam.oneill@example.org", "Liam O’Neill"),
)

HTML = """<div style="font: 16px/1.5 sans-serif; max-width: 36em">
<h1 style="font-size: 22px">Hello, {{ full_name }}!</h1>
<p>This is the first letter of your Vestnik. It was written once, filled in for you, and handed to the service that
plays the world's mail servers here.</p>
<p>Здравствуйте! Это первое письмо вашего «Вестника».</p>
</div>"""

TEXT = """Hello, {{ full_name }}!

This is the first letter of your Vestnik. It was written once, filled in for you, and handed to the service that plays
the world's mail servers here.

Здравствуйте! Это первое письмо вашего «Вестника».
"""


def password() -> str:
    """The demo owner's: every installation its own, and the same at every start."""
    digest = hmac.digest(settings.SECRET_KEY.encode(), b"vestnik demo", hashlib.sha256)
    return base64.b32encode(digest)[:12].decode().lower()


@transaction.atomic
def fill() -> User | None:
    """Make the demo in an installation without users, and launch its mailing; None where somebody is there already."""
    if User.objects.exists():
        return None
    owner = User.objects.create_superuser(EMAIL, password(), full_name="Vestnik Demo")
    friends = clients.create_list(owner, "Friends of Vestnik")
    for email, full_name in PEOPLE:
        clients.create_client(owner, email, full_name=full_name, lists=[friends])
    message = mailings.create_message(owner, subject="A first letter for {{ full_name }}", html=HTML, text=TEXT)
    now = clock.now()
    mailings.create_mailing(
        owner, name="First letters", message=message, lists=[friends], start=now, end=now + timedelta(days=1)
    )
    return owner
