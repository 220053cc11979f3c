"""An installation in which every page has something to show: things in all their states, with names that are long, and
the addresses of all pages, by the URL patterns, so that a new page cannot be forgotten.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import Group
from django.test import Client as Browser
from django.utils import timezone

from tests.dead_jobs import dead_job
from tests.web.addresses import PLACE, routes
from tests.web.ledger import make_run
from tests.web.posts import make_picture, make_post
from vestnik import sharing, supervision, unsubscribing
from vestnik.accounts.groups import CONTENT_MANAGERS, MANAGERS
from vestnik.accounts.models import User
from vestnik.blog.models import Picture
from vestnik.clients import import_jobs, suppressions
from vestnik.clients.models import Client
from vestnik.clients.suppressions import SuppressionReason
from vestnik.clients.uploads import ClientImport
from vestnik.mailings import unsubscribe_links, verbs
from vestnik.mailings.ledger import events
from vestnik.mailings.ledger.models import BounceKind, Delivery, EventKind, Run
from vestnik.mailings.models import Message
from vestnik.senders import checked, keys
from vestnik.senders import letters as sender_letters
from vestnik.senders import verbs as sender_verbs
from vestnik.senders.checked import Checked
from vestnik.senders.findings import Finding, State, Why
from vestnik.senders.models import Domain, Sender
from vestnik.senders.records import Purpose
from vestnik.testing import factories

LONG = "Newsletter_of_the_association_" * 6
ROLES = ("visitor", "newcomer", "owner", "friend", "manager", "content", "superuser")
ADMIN = ("admin/blog/post/", "admin/blog/post/add/", "admin/blog/picture/", "admin/blog/picture/add/")
LETTERS = re.compile(r"/letter/$|/preview/$")
"""What an author wrote, for a frame: not our page."""


@dataclass(frozen=True)
class World:
    """Who can sign in, and where there is something to see."""

    people: dict[str, User]
    ids: dict[str, list[str]]

    def session(self, role: str, language: str) -> str:
        """The key of a new session of theirs, empty for visitors; their pages come in this language."""
        if role == "visitor":
            return ""
        person = self.people[role]
        User.objects.filter(pk=person.pk).update(language=language)
        browser = Browser()
        browser.force_login(User.objects.get(pk=person.pk))
        return str(browser.cookies["sessionid"].value)

    def pages(self, session: str, language: str) -> Iterator[tuple[str, str]]:
        """The addresses at which whoever has the session gets a whole page of HTML, and the pages."""
        browser = Browser(raise_request_exception=False)
        browser.cookies.load({"sessionid": session} if session else {})
        for path in dict.fromkeys(self.addresses(language)):
            answer = browser.get(path, headers={"Accept-Language": language})
            kind = answer.headers.get("Content-Type", "")
            if answer.status_code == 200 and kind.startswith("text/html") and b"<html" in answer.getvalue()[:500]:
                yield path, answer.getvalue().decode()

    def addresses(self, language: str) -> Iterator[str]:
        """Every address of the project that a GET may be of."""
        for route in (*routes(), *ADMIN):
            if route.startswith(("en/", "ru/")):
                route = f"{language}/{route[3:]}"
            yield from (path for path in self._filled(f"/{route}") if not LETTERS.search(path))

    def _filled(self, route: str) -> Iterator[str]:
        place = PLACE.search(route)
        if place is None:
            yield re.sub(r"[\^$]", "", route)
            return
        name = place[1] or place[2]
        if name == "token" and route.startswith("/senders/"):
            name = "token of senders"
        room = next(
            (room for room in self.ids if name in ("pk", "delivery_pk") and route.startswith(f"/{room}/")), name
        )
        for value in self.ids[room if name != "delivery_pk" else f"letters of {route.split('/')[2]}"]:
            yield from self._filled(route[: place.start()] + value + route[place.end() :])


def make() -> World:
    """All of it, in the tests' database."""
    people = {role: _person(role) for role in ROLES if role not in ("visitor", "superuser")}
    people["superuser"] = User.objects.create_superuser("root@example.org", "a long password")
    people["manager"].groups.add(Group.objects.get(name=MANAGERS))
    people["content"].groups.add(Group.objects.get(name=CONTENT_MANAGERS))
    blocked = _person("blocked")
    owner, manager = people["owner"], people["manager"]

    runs = [
        make_run(owner, name="Weekly news", sent=5, failed=5, unknown=2, expired=1, cancelled=1),
        make_run(owner, name=LONG[:200], sent=3, failed=1, queued=4),
    ]
    paused, off = runs[1].mailing, factories.make_mailing(owner, 2, name="Half price")
    verbs.pause(paused)
    supervision.switch_off(off, manager, "The discount was not agreed with the shop.")
    later = factories.make_mailing(owner, 3, start=timezone.now() + timedelta(days=3), name="Spring")
    supervision.block(blocked, manager, "Spam")
    _lengthen(owner)
    for thing in (runs[0].mailing, runs[0].mailing.message, runs[0].mailing.lists.get()):
        sharing.share(thing, owner, people["friend"].email, "edit")
    message = Message.objects.filter(owner=owner).first()
    assert message is not None
    Message.objects.filter(pk=message.pk).update(html="<h1>News</h1><p>Dear {{ full_name }},</p>")
    uploads = _imports(owner)
    bounced, complained = runs[0].deliveries.filter(state="sent").order_by("-pk")[:2]
    words = "550 5.1.1 there is no such mailbox"
    hard = events.Report(kind=EventKind.BOUNCED, bounce=BounceKind.HARD, status="5.1.1", answer=words, source="mail")
    events.note(bounced.pk, hard)
    events.note(complained.pk, events.Report(kind=EventKind.COMPLAINED, answer="abuse", source="mail"))
    subscribed, unsubscribed = runs[0].deliveries.filter(state="sent").order_by("pk").values_list("pk", flat=True)[:2]
    unsubscribing.stop_all(_reader(unsubscribed))
    suppressions.suppress(owner.pk, ["somebody@example.org"], SuppressionReason.BY_HAND)
    for number in range(3):
        make_post(
            slug=f"a-post-{number}", picture=make_picture() if number else None, language=("en", "ru")[number % 2]
        )
    domains = _domains(owner)
    senders = list(owner.senders.order_by("pk"))
    ids: dict[str, list[Any]] = {
        "clients/imports": [upload.pk for upload in uploads],
        "clients": list(Client.objects.filter(owner=owner).order_by("pk").values_list("pk", flat=True)[:2]),
        "suppressions": [],
        "token": [unsubscribe_links.signer()(letter).rpartition("/")[2] for letter in (subscribed, unsubscribed)],
        "token of senders": [sender_letters.token_of(sender) for sender in senders[:2]] + ["of.nobody"],
        "senders/domains": [domain.pk for domain in domains],
        "senders": [senders[0].pk],
        "lists": list(owner.client_lists.order_by("pk").values_list("pk", flat=True)[:2]),
        "messages": [message.pk],
        "mailings": [mailing.pk for mailing in (runs[0].mailing, paused, off, later)],
        "runs": [run.pk for run in runs],
        "sharing/mailing": [runs[0].mailing.pk],
        "sharing/message": [runs[0].mailing.message.pk],
        "sharing/list": [runs[0].mailing.lists.get().pk],
        "panel/mailings": [runs[0].mailing.pk, off.pk],
        "panel/users": [owner.pk, blocked.pk],
        "panel/dead-jobs": [dead_job(error="ValueError: no", traceback="Traceback\n  here").id],
        "cause": ["failed-permanent-550", "unknown-unknown", "no-such-cause"],
        "key": ["a-key-that-is-not-good"],
        "provider": ["postmark"],
        "uidb36": ["1"],
        "slug": ["a-post-1", "a-post-2"],
        "picture": [Picture.objects.all()[0].key],
        "width": ["480"],
        "suffix": ["jpg"],
    }
    for run in runs:
        ended = Delivery.objects.filter(run=run).order_by("state", "pk").distinct("state")
        ids[f"letters of {run.pk}"] = list(ended.values_list("pk", flat=True))
    return World(people, {name: [str(value) for value in values] for name, values in ids.items()})


def _reader(delivery_id: int) -> unsubscribing.Subscription:
    reader = unsubscribing.subscription(unsubscribe_links.signer()(delivery_id).rpartition("/")[2])
    assert reader is not None
    return reader


def _person(name: str) -> User:
    return User.objects.create_user(
        f"{name}@example.org", "a long password", full_name=f"{name.title()} Archer", last_seen_at=timezone.now()
    )


def _domains(owner: User) -> list[Domain]:
    """One of which nothing is known yet, and one with a record in every state there is, right and wrong."""
    for address in (
        "news@shop.example",
        owner.email,
        f"{'a-very-long-local-part' * 2}@{'department.' * 12}example.net",
    ):
        sender_verbs.save_sender(Sender(owner=owner, address=address, name=LONG[:150]))
    sender_verbs.confirm(owner.senders.get(address="news@shop.example"))
    checked_one, new = owner.sending_domains.get(name="shop.example"), owner.sending_domains.latest("pk")
    keys.make(checked_one)
    for key in checked_one.keys.all():
        keys.seen(key)
    keys.make(checked_one)
    keys.seen(checked_one.keys.latest("pk"))
    found = [
        Checked.of(kind, f"{kind}.shop.example", Finding(state, why, (LONG, "v=spf1 -all")), type="TXT", value=LONG * 2)
        for kind, (state, why) in zip(
            (*Purpose, "ptr"),
            ((state, why) for state in State for why in (None, Why.NAME_TWICE)),
            strict=False,
        )
    ]
    found.append(Checked(kind="alignment", name="shop.example", state="unknown", why="none"))
    checked.keep(checked_one, timezone.now() + timedelta(minutes=1), found)
    return [checked_one, new]


def _imports(owner: User) -> list[ClientImport]:
    """Over with a refused row, refused, waiting; to be confirmed: with a bad row, in doubt, without addresses."""
    name = "clients of the spring fair.csv"
    over, refused, waiting = (
        factories.make_import(owner, [data], name)
        for data in (b"email\nno address\nfair@example.org\n", b"email\n", b"email\nother@example.org\n")
    )
    ClientImport.objects.filter(pk=refused.pk).update(tries=import_jobs.TRIES)
    for work in (over, refused):
        import_jobs.run_import(work.pk)
    in_doubt = "email,name\npetya@example.org,Пётр\n".encode("koi8-r")
    files = ("email,City\nanna@example.org,Rīga\nno address,\n".encode(), in_doubt, b"who,where\nAnna,here\n")
    return [over, refused, waiting, *(import_jobs.take_file(owner, [data], name) for data in files)]


def _lengthen(owner: User) -> None:
    """One client, one list and one letter as long as they can be."""
    run = Run.objects.filter(owner_id=owner.pk).order_by("pk")[0]
    letter = run.deliveries.filter(state="failed").order_by("pk")[0]
    address = f"{'a-very-long-local-part.' * 2}of.somebody@{'department.' * 3}example.org"
    Delivery.objects.filter(pk=letter.pk).update(address=address)
    Client.objects.filter(pk=letter.client_id).update(full_name="Wolfeschlegelsteinhausen" * 7, email=address)
    owner.client_lists.filter(pk=owner.client_lists.order_by("pk")[0].pk).update(name=LONG[:190])
