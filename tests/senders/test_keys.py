"""Keys that sign: in use from when the DNS has them, renewed without a gap, unreadable to who only has the database."""

from datetime import timedelta

import dkim as dkimpy
import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from vestnik import encryption
from vestnik.mail import dkim_keys
from vestnik.senders import keys, signing, verbs
from vestnik.senders.models import DkimKey, Domain

LETTER = b"From: news@shop.example\r\nTo: ann@example.org\r\nSubject: Sale\r\n\r\nHello.\r\n"
NEWS = "news@shop.example"


def signed(owner_id, address=NEWS):
    sign = signing.signer_of(owner_id, address)
    return sign(LETTER, timezone.now()) if sign else LETTER


def verifies(letter):
    """Of each signature whether it is right by others' code, the records being those that the domains are to have."""
    known = {f"{key.host}.".encode(): key.record.encode() for key in DkimKey.objects.select_related("domain")}
    return [
        dkimpy.verify(letter_of(letter, index), dnsfunc=lambda name, timeout=5: known.get(name))
        for index in range(letter.count(b"DKIM-Signature:"))
    ]


def letter_of(letter, index):
    """The letter with its other signatures taken out: dkimpy looks at the first."""
    head, _, body = letter.partition(b"\r\n\r\n")
    fields, kept = [], []
    for line in head.split(b"\r\n"):
        if line[:1] in b" \t" and fields:
            fields[-1] += b"\r\n" + line
        else:
            fields.append(line)
    seen = -1
    for field in fields:
        if field.startswith(b"DKIM-Signature:"):
            seen += 1
            if seen != index:
                continue
        kept.append(field)
    return b"\r\n".join(kept) + b"\r\n\r\n" + body


@pytest.fixture
def domain(alice):
    domain = verbs.add_domain(alice, "shop.example")
    keys.make(domain)
    return domain


def selector_of(domain, version):
    return domain.keys.get(version=version, algorithm="rsa-sha256").selector.encode()


def use(domain, version=None):
    for key in domain.keys.all():
        if version in (None, key.version):
            keys.seen(key)


def test_keys_sign_from_when_the_dns_has_them(alice, domain):
    assert signed(alice.pk) == LETTER
    use(domain)
    assert verifies(signed(alice.pk)) == [True, True]
    algorithms = {key.algorithm for key in domain.keys.all()}
    assert algorithms == {"rsa-sha256", "ed25519-sha256"}


def test_a_key_that_the_dns_has_lost_signs_nothing_until_it_is_back(alice, domain):
    use(domain)
    rsa = domain.keys.get(algorithm="rsa-sha256")
    assert keys.lost(rsa)
    assert not keys.lost(rsa)  # nobody is told again
    assert signed(alice.pk).count(b"DKIM-Signature:") == 1
    keys.seen(rsa)
    assert verifies(signed(alice.pk)) == [True, True]


def test_new_keys_take_over_when_the_dns_has_them_and_the_old_records_stay_for_a_week(alice, domain, time_machine):
    use(domain)
    before = signed(alice.pk)
    keys.make(domain)
    with pytest.raises(ValidationError, match="new keys already"):
        keys.make(domain)
    assert selector_of(domain, 1) in signed(alice.pk)
    use(domain, version=2)
    after = signed(alice.pk)
    assert selector_of(domain, 2) in after
    assert selector_of(domain, 1) not in after
    assert verifies(before) == verifies(after) == [True, True]
    assert keys.expected(domain).count() == 4
    DkimKey.objects.filter(version=1).update(retired_at=timezone.now() - keys.RECORDS_STAY - timedelta(hours=1))
    assert {key.version for key in keys.expected(domain)} == {2}


def test_a_domain_signs_for_those_below_it_and_for_nobody_else(alice, bob, domain):
    use(domain)
    assert verifies(signed(alice.pk, "a@news.shop.example")) == [True, True]
    assert signed(alice.pk, "a@othershop.example") == LETTER
    assert signed(bob.pk) == LETTER
    assert signed(None) == LETTER


def test_the_installations_keys_sign_for_everybody_whose_letters_come_from_its_domain(alice):
    domain = verbs.domain_of_installation("vestnik.example")
    keys.make(domain)
    use(domain)
    for owner in (None, alice.pk):
        assert signed(owner, "herald@vestnik.example").count(b"DKIM-Signature:") == 2


def test_the_nearest_domain_signs(alice, domain):
    use(domain)
    below = verbs.add_domain(alice, "news.shop.example")
    keys.make(below)
    use(below)
    assert b"d=news.shop.example" in signed(alice.pk, "a@news.shop.example")
    assert b"d=news.shop.example" not in signed(alice.pk, "a@shop.example")


def test_the_database_alone_gives_no_key_away(alice, domain, settings, caplog):
    use(domain)
    private = [bytes(key.private) for key in domain.keys.all()]
    for sealed in private:
        with pytest.raises(ValueError, match="key"):
            dkim_keys.load_key("shop.example", "x", sealed)
    settings.SECRET_KEY = "another secret key, of whoever has the backup" * 2
    assert signed(alice.pk) == LETTER
    assert "signs nothing" in caplog.text


def test_what_an_old_secret_key_encrypted_is_read_and_encrypted_again(alice, domain, settings):
    use(domain)
    old = settings.SECRET_KEY
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "a new secret key of the same installation" * 2, [old]
    assert verifies(signed(alice.pk)) == [True, True]
    keys.encrypt_again(domain)
    settings.SECRET_KEY_FALLBACKS = []
    assert verifies(signed(alice.pk)) == [True, True]


def test_what_is_encrypted_for_one_purpose_is_read_for_no_other():
    sealed = encryption.encrypted(b"secret", "dkim")
    assert encryption.decrypted(sealed, "dkim") == b"secret"
    for damaged, purpose in ((sealed, "mail service"), (sealed[:-1], "dkim"), (b"", "dkim"), (b"x" * 100, "dkim")):
        with pytest.raises(encryption.Unreadable):
            encryption.decrypted(damaged, purpose)


def test_the_way_back_for_bounces_is_below_the_senders_domain_where_the_dns_leads_there(alice, bob, domain):
    of = signing.return_path_of
    assert of(alice.pk, NEWS, "") == ""
    assert of(alice.pk, NEWS, "bounces.vestnik.example") == "bounces.vestnik.example"
    Domain.objects.update(return_path_at=timezone.now())
    assert of(alice.pk, NEWS, "bounces.vestnik.example") == "bounce.shop.example"
    assert of(alice.pk, NEWS, "") == ""
    assert of(bob.pk, NEWS, "bounces.vestnik.example") == "bounces.vestnik.example"


def test_no_selector_comes_twice_and_what_was_stopped_is_asked_for_no_more(alice, domain):
    use(domain)
    before = {key.host for key in keys.expected(domain).select_related("domain")}
    keys.stop(domain)
    keys.make(domain)
    assert not before & {key.host for key in keys.expected(domain).select_related("domain")}


def test_a_key_that_cannot_be_read_is_told_once_an_hour(alice, domain, settings, caplog, valkey):
    use(domain)
    settings.SECRET_KEY = "another secret key, of whoever has the backup" * 2
    for _slice in range(5):
        assert signed(alice.pk) == LETTER
    assert caplog.text.count("signs nothing") == 2  # each of the two
