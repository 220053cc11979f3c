"""The demo's letters before SpamAssassin: by its own rules, without the network, none looks like spam."""

import re
import subprocess
import time

import pytest

from dispatcher.runs import launching
from dispatcher.sending import slices
from tests.trial_servers.processes import found
from vestnik import demo
from vestnik.accounts.models import User
from vestnik.mailings.models import Message
from vestnik.testing.factories import make_clients, make_list, make_mailing

SCORE = re.compile(r"^X-Spam-Status: \w+, score=(-?[\d.]+).*?tests=(.*?)(?= autolearn)", re.MULTILINE | re.DOTALL)


def judged(letter: bytes) -> tuple[float, str]:
    """The letter's score, and what it was given for."""
    command = [found("spamassassin", "spamassassin"), "--local", "--cf", "use_bayes 0"]
    said = subprocess.run(command, input=letter, capture_output=True, check=True, timeout=60).stdout.decode()
    match = SCORE.search(said)
    assert match, said[:2000]
    return float(match[1]), " ".join(match[2].split())


@pytest.mark.slow
def test_no_letter_of_the_demo_looks_like_spam(engine, provider, settings, transactional_db, valkey):
    settings.MAIL_FROM, settings.SITE_URL = "news@shop.example.com", "https://mail.example.com"
    assert demo.fill()
    owner = User.objects.get(email=demo.OWNER.email)
    everybody = make_list(owner)
    make_clients(owner, 1, everybody)
    for message in Message.objects.filter(owner=owner):
        provider.letters.clear()
        (run,) = launching.launch(make_mailing(owner, message=message, lists=[everybody]).pk)
        slices.send_slice(engine, owner.pk, time.monotonic() + 30, only=[run.pk])
        scores = {letter.delivery_id: judged(letter.content) for letter in provider.letters}
        assert scores
        assert max(score for score, _why in scores.values()) <= 0, (message.subject, scores)
