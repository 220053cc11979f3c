"""Something to look at: people with clients and mailings in every state, those who supervise them, and a blog."""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from vestnik import clock, supervision
from vestnik.accounts import groups, verbs
from vestnik.accounts.models import User
from vestnik.clients import attributes
from vestnik.clients import verbs as clients
from vestnik.clients.models import Client, ClientList
from vestnik.demo import people, posts, texts
from vestnik.mailings import verbs as mailings


@dataclass(frozen=True, slots=True)
class Account:
    """An account of the demo, and what it is for."""

    email: str
    full_name: str
    purpose: str
    group: str = ""


OWNER = Account("demo@vestnik.test", "Daria Demo", gettext_noop("has clients, messages and mailings"))
MANAGER = Account(
    "manager@vestnik.test", "Максим Ревизор", gettext_noop("manager: looks after everybody's mailings"), groups.MANAGERS
)
EDITOR = Account(
    "editor@vestnik.test", "Edith Editor", gettext_noop("content manager: writes the blog"), groups.CONTENT_MANAGERS
)
ADMIN = Account("admin@vestnik.test", "Anton Admin", gettext_noop("administrator: the admin site"))
ACCOUNTS = (OWNER, MANAGER, EDITOR, ADMIN)

DAY = timedelta(days=1)
LONG_NAME = (
    "Evenings in the showroom: the weekly invitation for our VIP customers, with music, tea and a walk"
    " through the workshop, in both languages, until the end of the season"
)
REASON = "The discount was not agreed with the shop. Please talk to us before this goes out."


def password() -> str:
    """Return the demo accounts' password: every installation has its own, the same at every start."""
    digest = hmac.digest(settings.SECRET_KEY.encode(), b"vestnik demo", hashlib.sha256)
    return base64.b32encode(digest)[:12].decode().lower()


def is_there() -> bool:
    """Say whether the demo was made here (and its owner not deleted since)."""
    return User.objects.filter(email=OWNER.email).exists()


def greet(user: User, language: str) -> None:
    """Set a demo account's language to that of whoever signs in with it; other accounts keep theirs."""
    if user.email in {account.email for account in ACCOUNTS} and user.language != language:
        verbs.save_profile(user, full_name=user.full_name, language=language, time_zone=user.time_zone)


@transaction.atomic
def fill() -> bool:
    """Create the demo beside whatever there is, and launch its mailings; what was created before stays as it is.

    Return whether its people are new. Raises ValidationError where an address of theirs belongs to somebody else.
    """
    new = _people()
    if not posts.are_there():
        posts.make()
    return new


def _people() -> bool:
    if is_there():
        return False
    addresses = [account.email for account in ACCOUNTS]
    if taken := list(User.objects.filter(email__in=addresses).values_list("email", flat=True)):
        raise ValidationError(
            _("The demo was not made, for there is an account with an address of its own: %(addresses)s.")
            % {"addresses": ", ".join(taken)}
        )
    users = {account: _user(account) for account in ACCOUNTS}
    User.objects.filter(email__in=addresses).update(password=make_password(password()))  # hashed once, for it is slow
    _world(users[OWNER], users[MANAGER])
    return True


def _user(account: Account) -> User:
    make = User.objects.create_superuser if account == ADMIN else User.objects.create_user
    user = make(account.email, full_name=account.full_name, time_zone="Europe/Moscow")
    if account.group:
        verbs.join(user, account.group)
    return user


def _world(owner: User, manager: User) -> None:
    everybody = Client.objects.bulk_create(people.clients(owner))
    attributes.learn(owner.pk, ["city", "company"])
    reached = len(everybody) - people.UNSURE
    english = [client for number, client in enumerate(everybody[:reached]) if not people.is_russian(number)]
    russian = [client for number, client in enumerate(everybody[:reached]) if people.is_russian(number)]
    customers = _list(owner, "Customers", english)
    subscribers = _list(owner, "Подписчики новостей", russian[:140])
    vip = _list(owner, "VIP", everybody[:reached:12])
    leads = _list(owner, "Leads from the next fair", [])
    newsletter, digest, receipt, invitation, address_check = (
        mailings.create_message(owner, text.subject, text.html, text.text, text.language)
        for text in (texts.NEWSLETTER, texts.DIGEST, texts.RECEIPT, texts.INVITATION, texts.ADDRESS_CHECK)
    )
    now = clock.now().replace(second=0, microsecond=0)
    mailing = partial(mailings.create_mailing, owner, start=now, time_zone=owner.time_zone)
    mailing(name="Autumn newsletter", message=newsletter, lists=[customers], end=now + 2 * DAY)
    mailing(name="Ежедневные новости", message=digest, lists=[subscribers], end=now + 30 * DAY, periodicity="daily")
    mailing(name=LONG_NAME, message=invitation, lists=[vip], end=now + 84 * DAY, periodicity="weekly")
    unsure = [*english[:12], *everybody[reached:]]
    mailing(name="Address check", message=address_check, clients=unsure, end=now + 2 * DAY, sender_name="Linden & Sons")
    mailing(name="Welcome to the fair", message=newsletter, lists=[leads], end=now + DAY)
    mailing(
        name="Winter newsletter",
        message=newsletter,
        lists=[customers],
        start=now + 3 * DAY,
        end=now + 365 * DAY,
        periodicity="monthly",
    )
    confirmations = mailing(
        name="Подтверждения заказов", message=receipt, lists=[subscribers], end=now + 14 * DAY, periodicity="daily"
    )
    mailings.pause(confirmations)
    sale = mailing(name="Half price this weekend", message=newsletter, lists=[customers, vip], end=now + 7 * DAY)
    supervision.switch_off(sale, manager, REASON)


def _list(owner: User, name: str, members: Sequence[Client]) -> ClientList:
    client_list = clients.create_list(owner, name)
    clients.add_to_list(client_list, members)
    return client_list
