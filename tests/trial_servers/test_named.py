"""A domain whose records lie in a real BIND: all that its page asks for is found there, and what it refuses is not."""

import textwrap

import pytest

from dispatcher import domain_checks
from tests.trial_servers.named import named
from vestnik.senders import checked, dns, keys, verbs
from vestnik.senders.answers import Answer, Kind, Trouble

BOUNCES = "bounces.vestnik.example"


def lines_of(domain):
    """Its records as a zone file has them: no string of a TXT record is longer than 255 octets (RFC 1035, 3.3.14)."""
    yield f'_vestnik IN TXT "vestnik-verification={domain.token}"'
    yield f"bounce IN CNAME {BOUNCES}."
    yield '_dmarc IN TXT "v=DMARC1; p=quarantine; adkim=s"'
    for key in keys.expected(domain):
        strings = " ".join(f'"{part}"' for part in textwrap.wrap(key.record, 250, drop_whitespace=False))
        yield f"{key.selector}._domainkey IN TXT {strings}"


@pytest.fixture
def domain(alice, settings):
    settings.MAIL_FROM, settings.BOUNCE_DOMAIN = "herald@vestnik.example", BOUNCES
    domain = verbs.add_domain(alice, "shop.example")
    keys.make(domain)
    return domain


def test_what_the_page_says_is_right_once_it_stands_in_a_servers_zone(domain, settings):
    bounces = "@ IN MX 10 mail.vestnik.example.\n"
    with named({"shop.example": "\n".join(lines_of(domain)) + "\n", BOUNCES: bounces}) as server:
        settings.DNS_RESOLVER = [server]
        domain_checks.check(domain.pk)
        domain.refresh_from_db()
        said = {(each.kind, each.name): (each.state, each.why) for each in checked.of(domain)}
        assert {state for state, _why in said.values()} == {"right"}, said
        assert said[("alignment", "shop.example")] == ("right", "both")
        assert len(said) == 6
        assert domain.proven_at
        assert domain.return_path_at
        assert domain.keys.filter(seen_at__isnull=False).count() == 2

        def asked(name, kind):
            return dns.ask(name, kind, servers=[server])

        assert asked("nothing.shop.example", Kind.TXT) == Answer()
        assert asked("_dmarc.shop.example", Kind.MX) == Answer()
        assert asked("example.org", Kind.TXT) == Answer(trouble=Trouble.UNREACHABLE)
