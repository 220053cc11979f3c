"""A domain as the DNS has it, asked by real questions to a server of ours; what follows, and who is told."""

import logging
from datetime import timedelta

import pytest
from django.utils import timezone

from dispatcher import domain_checks
from tests.elsewhere import elsewhere
from tests.scripted_servers.dns import DnsServer, How
from vestnik import jobs, locks
from vestnik.accounts.letters import AccountLetter
from vestnik.accounts.models import User
from vestnik.senders import checked, keys, signing, standing, verbs
from vestnik.senders.models import DkimKey, Domain, Sender

SHOP, BOUNCES = "shop.example", "bounces.vestnik.example"


@pytest.fixture
def server():
    with DnsServer({}) as server:
        yield server


@pytest.fixture(autouse=True)
def from_herald(settings, server):
    settings.MAIL_FROM = "herald@vestnik.example"
    settings.EMAIL_BACKEND = "vestnik.accounts.mail.EmailBackend"
    settings.DNS_RESOLVER = [server.address]
    settings.BOUNCE_DOMAIN, settings.SPF_INCLUDE, settings.EHLO_NAME = BOUNCES, "", ""
    settings.SITE_URL = "https://vestnik.example"


@pytest.fixture
def domain(alice):
    return verbs.add_domain(alice, SHOP)


def proof(domain):
    return {f"_vestnik.{SHOP}": {"TXT": [f"vestnik-verification={domain.token}"]}}


def published(domain):
    """The zones of somebody who has set everything that the page says."""
    zones = proof(domain) | {key.host: {"TXT": [key.record]} for key in keys.expected(domain).select_related("domain")}
    return zones | {
        f"bounce.{SHOP}": {"CNAME": [BOUNCES]},
        BOUNCES: {"MX": ["10 vestnik.example"]},
        f"_dmarc.{SHOP}": {"TXT": ["v=DMARC1; p=reject; adkim=s"]},
    }


def looked(domain):
    domain_checks.check(domain.pk)
    domain.refresh_from_db()
    return {(each.kind, each.name): (each.state, each.why) for each in checked.of(domain)}


def states(domain):
    return {kind: said for (kind, _name), said in looked(domain).items()}


def told():
    return list(AccountLetter.objects.order_by("pk").values_list("recipient", "subject"))


def test_a_domain_is_proven_by_its_record_and_letters_come_from_it(alice, domain, server):
    sender = verbs.save_sender(Sender(owner=alice, address=f"news@{SHOP}"))
    verbs.confirm(sender)
    sender.refresh_from_db()
    assert states(domain)["ownership"] == ("missing", "")
    assert standing.comes_from(alice, sender).address == "herald@vestnik.example"
    server.know(proof(domain))
    assert states(domain)["ownership"] == ("right", "")
    assert domain.proven_at
    assert standing.comes_from(alice, sender).address == f"news@{SHOP}"


def test_everything_that_is_to_be_set_is_right_once_it_is_set(domain, server):
    keys.make(domain)
    assert states(domain)["alignment"] == ("unknown", "none")
    server.know(published(domain))
    said = looked(domain)
    assert {state for state, _why in said.values()} == {"right"}
    assert {kind for kind, _name in said} == {"ownership", "dkim", "return_path", "dmarc", "alignment"}
    assert len(said) == 6  # two keys
    assert signing.signer_of(domain.owner_id, f"x@{SHOP}") is not None
    assert signing.return_path_of(domain.owner_id, f"x@{SHOP}", BOUNCES) == f"bounce.{SHOP}"
    assert said[("alignment", SHOP)] == ("right", "both")
    assert told() == []


@pytest.mark.parametrize(
    ("zones", "why"),
    [
        ({f"_vestnik.{SHOP}.{SHOP}": {"TXT": ["vestnik-verification=TOKEN"]}}, "name_twice"),
        ({f"_vestnik.{SHOP}": {"TXT": ['"vestnik-verification=TOKEN"']}}, "quoted"),
        ({f"_vestnik.{SHOP}": {"TXT": ["vestnik-verification=somebody-elses"]}}, "another_value"),
    ],
)
def test_the_usual_mistakes_are_named_and_prove_nothing(domain, server, zones, why):
    server.know({
        name: {kind: [value.replace("TOKEN", domain.token) for value in values] for kind, values in kinds.items()}
        for name, kinds in zones.items()
    })  # fmt: skip
    assert states(domain)["ownership"] == ("wrong", why)
    assert domain.proven_at is None


@pytest.mark.parametrize("how", [How.SERVFAIL, How.REFUSED, How.GARBAGE, How.CLOSES_TCP, How.REFERRAL])
def test_nothing_is_lost_because_the_dns_could_not_be_asked(domain, server, how):
    keys.make(domain)
    server.know(published(domain))
    looked(domain)
    for name in published(domain):
        server.misbehave(name, how)
    said = states(domain)
    assert said["ownership"][0] == said["dkim"][0] == said["return_path"][0] == "unknown"
    assert domain.proven_at
    assert domain.return_path_at
    assert signing.signer_of(domain.owner_id, f"x@{SHOP}") is not None
    assert told() == []


def test_what_broke_is_told_once_and_a_key_that_is_gone_signs_nothing(alice, domain, server, caplog):
    caplog.set_level(logging.WARNING)
    keys.make(domain)
    server.know(published(domain))
    looked(domain)
    server.know(proof(domain))
    said = states(domain)
    assert said["dkim"] == ("missing", "")
    assert signing.signer_of(domain.owner_id, f"x@{SHOP}") is None
    assert domain.return_path_at is None
    looked(domain)
    assert told() == [(alice.email, f"The DNS records of {SHOP} are broken")]
    content = bytes(AccountLetter.objects.get().content).decode()
    assert DkimKey.objects.earliest("pk").host in content.replace("=\r\n", "")
    assert f"domain {domain.pk}" in caplog.text
    server.know(published(domain))  # and back
    looked(domain)
    assert signing.signer_of(domain.owner_id, f"x@{SHOP}") is not None


def test_a_domain_whose_proof_is_gone_stays_proven_for_three_days(alice, domain, server):
    server.know(proof(domain))
    looked(domain)
    server.know({})
    looked(domain)
    assert domain.proven_at
    assert domain.unproven_since
    assert told() == [(alice.email, f"The DNS records of {SHOP} are broken")]
    Domain.objects.update(unproven_since=timezone.now() - checked.PROOF_LASTS + timedelta(minutes=1))
    looked(domain)
    assert domain.proven_at
    Domain.objects.update(unproven_since=timezone.now() - checked.PROOF_LASTS)
    looked(domain)
    assert domain.proven_at is None
    assert len(told()) == 1


def test_a_proof_that_is_back_in_time_is_as_if_it_had_never_been_gone(domain, server):
    server.know(proof(domain))
    looked(domain)
    server.know({})
    looked(domain)
    server.know(proof(domain))
    looked(domain)
    assert domain.proven_at
    assert domain.unproven_since is None


def test_the_installations_domain_wants_mx_and_spf_and_its_administrators_are_told(db, server, settings, caplog):
    root = User.objects.create_superuser("root@example.org", "a long password")
    settings.SPF_INCLUDE = "mail.service.example"
    domain = verbs.domain_of_installation("vestnik.example")
    zones = {
        BOUNCES: {"MX": ["10 vestnik.example"], "TXT": ["v=spf1 include:mail.service.example ~all"]},
        "vestnik.example": {"A": ["192.0.2.1"]},
        "mail.service.example": {"TXT": ["v=spf1 ip4:192.0.2.0/24 -all"]},
        "_dmarc.vestnik.example": {"TXT": ["v=DMARC1; p=none"]},
    }
    server.know(zones)
    assert {kind: state for kind, (state, _why) in states(domain).items()} == {
        "mx": "right", "spf": "right", "dmarc": "right", "alignment": "right"
    }  # fmt: skip
    server.know(zones | {BOUNCES: {"MX": ["10 vestnik.example"], "TXT": ["v=spf1 +all"]}})
    assert states(domain)["spf"] == ("wrong", "all_pass")
    assert told() == [(root.email, "The DNS records of vestnik.example are broken")]
    assert [record.levelname for record in caplog.records if "records of" in record.message] == ["ERROR"]


def test_an_own_servers_address_has_to_have_its_name(db, server, settings):
    settings.EHLO_NAME = "mail.vestnik.example"
    domain = verbs.domain_of_installation("vestnik.example")
    zones = {
        "mail.vestnik.example": {"A": ["192.0.2.7"]},
        "7.2.0.192.in-addr.arpa": {"PTR": ["mail.vestnik.example"]},
        BOUNCES: {"TXT": ["v=spf1 ip4:192.0.2.7 -all"], "MX": ["10 vestnik.example"]},
        "vestnik.example": {"A": ["192.0.2.7"]},
    }
    server.know(zones)
    said = states(domain)
    assert said["ptr"] == ("right", "")
    assert said["spf"] == ("right", "")
    server.know(zones | {"7.2.0.192.in-addr.arpa": {"PTR": ["host7.hosting.example"]}})
    assert states(domain)["ptr"] == ("wrong", "not_confirmed")


def test_domains_are_asked_for_daily_and_every_ten_minutes_while_somebody_waits(domain, server):
    def wait_after_a_check():
        looked(domain)
        return round((domain.due_at - timezone.now()).total_seconds() / 60)

    assert domain in checked.due()  # never asked
    assert wait_after_a_check() == 10
    assert domain not in checked.due()
    Domain.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    assert domain in checked.due()
    server.know(proof(domain))
    assert wait_after_a_check() == 24 * 60
    keys.make(domain)
    assert domain in checked.due()
    assert wait_after_a_check() == 10
    DkimKey.objects.update(created_at=timezone.now() - checked.WAITS)
    assert wait_after_a_check() == 24 * 60
    server.know({})
    Domain.objects.update(proven_at=None, created_at=timezone.now() - checked.WAITS)
    assert wait_after_a_check() == 24 * 60


def test_who_asks_again_while_it_is_asked_gets_a_later_answer(domain, server):
    server.know(proof(domain))
    Domain.objects.update(asked_at=timezone.now())
    checked.keep(domain, timezone.now() - timedelta(seconds=5), [])
    domain.refresh_from_db()
    assert not domain.is_checked
    assert domain in checked.due()
    looked(domain)
    assert domain.is_checked


def test_what_lies_in_the_dns_is_kept_within_bounds(domain, server):
    server.know({f"_dmarc.{SHOP}": {"TXT": ["v=DMARC1; p=" + "x" * 3000] * 40}})
    looked(domain)
    assert sum(len(value) for each in domain.findings for value in each["found"]) < 20_000


def test_one_job_checks_what_is_due_and_owners_take_turns(alice, bob, server, monkeypatch):
    order = []
    monkeypatch.setattr(domain_checks, "_check", lambda domain, began: order.append(domain.owner.email) or keep(domain))

    def keep(domain):
        Domain.objects.filter(pk=domain.pk).update(due_at=timezone.now() + timedelta(days=1))

    for owner, number in ((alice, 6), (bob, 2)):
        for each in range(number):
            verbs.add_domain(owner, f"{owner.pk}-{each}.example")
    domain_checks.check_due()
    assert len(order) == 8
    assert order[:4].count(bob.email) == 2
    assert not checked.due().exists()


@pytest.mark.django_db(transaction=True)
def test_a_second_job_beside_the_first_does_nothing(alice, server):
    domain = verbs.add_domain(alice, SHOP)
    with locks.held(locks.DOMAIN_CHECKS) as alone:
        assert alone
        elsewhere(domain_checks.check_due).result(30)
    domain.refresh_from_db()
    assert domain.checked_at is None


def test_whatever_goes_wrong_with_one_domain_the_others_are_checked(alice, server, monkeypatch, caplog):
    bad, good = verbs.add_domain(alice, "bad.example"), verbs.add_domain(alice, "good.example")
    findings = domain_checks._findings

    def broken(domain, look):
        if domain == bad:
            raise RuntimeError("what nobody thought of")
        return findings(domain, look)

    monkeypatch.setattr(domain_checks, "_findings", broken)
    domain_checks.check_due()
    good.refresh_from_db()
    assert good.findings
    assert not checked.due().exists()
    assert f"the domain {bad.pk} could not be checked" in caplog.text


def test_who_presses_again_and_again_has_the_dns_asked_once(domain, monkeypatch, django_capture_on_commit_callbacks):
    enqueued = []
    monkeypatch.setattr(jobs.Job, "enqueue", lambda job, *args, delay=None: enqueued.append(job.name))
    Domain.objects.update(asked_at=timezone.now() - timedelta(hours=2), checked_at=timezone.now() - timedelta(hours=1))
    with django_capture_on_commit_callbacks(execute=True):
        for _press in range(50):
            verbs.check(domain)
    assert enqueued == ["check_domains"]


def test_a_proof_that_cannot_be_asked_for_lasts_a_month_and_no_longer(alice, domain, server):
    server.know(proof(domain))
    looked(domain)
    server.misbehave(f"_vestnik.{SHOP}", How.SERVFAIL)
    Domain.objects.update(proof_seen_at=timezone.now() - checked.UNKNOWN_LASTS + timedelta(minutes=1))
    looked(domain)
    assert domain.proven_at
    Domain.objects.update(proof_seen_at=timezone.now() - checked.UNKNOWN_LASTS)
    looked(domain)
    assert domain.proven_at is None
    assert told() == [(alice.email, f"The DNS records of {SHOP} are broken")]


def test_a_key_that_cannot_be_read_is_not_right_whatever_the_dns_says(domain, server, settings):
    keys.make(domain)
    server.know(published(domain))
    looked(domain)
    settings.SECRET_KEY = "another secret key, and nobody kept the old one" * 2
    assert states(domain)["dkim"] == ("wrong", "secret_unreadable")


def test_a_domain_that_is_deleted_meanwhile_is_left_alone(domain, server):
    gone = Domain.objects.get(pk=domain.pk)
    domain.delete()
    domain_checks.check(gone.pk)
    assert checked.keep(gone, timezone.now(), []) == []
