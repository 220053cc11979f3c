"""What is said of a mail service that is away: to everybody what is the matter, to superusers in its words."""

from html import escape

import pytest
from django.test import Client as Browser
from django.urls import reverse
from django.utils import translation

from dispatcher.pace.breaker import Breaker
from dispatcher.providers.errors import Misconfigured
from tests.web.ledger import make_run
from vestnik.accounts.models import User
from vestnik.mailings import outages

WORDS = "smtp://relay.internal:587 refused <bob@example.com>: Wednesday"


@pytest.fixture
def run(alice, valkey):
    run = make_run(alice, name="Under way", queued=2, sent=1)
    Breaker("memory://").failed(Misconfigured(WORDS))
    for _ in range(3):
        Breaker("memory://").failed(Misconfigured(WORDS))
    assert outages.current()
    return run


def pages(run):
    """Where an outage is told: to the owner, to whom the run is shared with, to managers and superusers."""
    return [
        reverse("runs:detail", args=[run.pk]),
        reverse("runs:live", args=[run.pk]),
        reverse("overview"),
        reverse("panel:mailings"),
        reverse("panel:users"),
    ]


def shown(person, address):
    browser = Browser()
    browser.force_login(person)
    answer = browser.get(address)
    return answer.content.decode() if answer.status_code == 200 else None


@pytest.mark.parametrize("language", ["en", "ru"])
def test_owners_and_managers_read_a_sentence_of_ours_and_superusers_the_services_words(alice, maria, run, language):
    root = User.objects.create_superuser("root@example.org", "a long password")
    User.objects.update(language=language)
    with translation.override(language):
        trouble = escape(str(outages.OutageReason.MISCONFIGURED.label))
    seen = {}
    for person in (alice, maria, root):
        for address in pages(run):
            page = shown(person, address)
            if page is None or trouble not in page:
                continue
            seen.setdefault(person.email, []).append(address)
            assert ("relay.internal" in page) == person.is_superuser, address
            assert "Wednesday" not in page or person.is_superuser
            assert "bob@" not in page
    assert len(seen["alice@example.org"]) == 3
    assert len(seen["maria@example.org"]) >= 3
    assert len(seen["root@example.org"]) >= 4


def test_the_name_of_a_worker_is_for_superusers(alice, run):
    root = User.objects.create_superuser("root@example.org", "a long password")
    letter = run.deliveries.get(state="sent")
    name = letter.tries.get().worker.name
    address = reverse("runs:delivery", args=[run.pk, letter.pk])
    assert f"<bdi>{name}</bdi>" not in shown(alice, address)
    assert f"<bdi>{name}</bdi>" in shown(root, address)
