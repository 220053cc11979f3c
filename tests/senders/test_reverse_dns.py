"""Servers' addresses, and whether their names lead back to them."""

from ipaddress import ip_address

from tests.scripted_servers.dns import DnsServer
from tests.senders.conftest import known
from vestnik.senders.answers import Ask
from vestnik.senders.findings import State, Why
from vestnik.senders.reverse_dns import Named, judge_ptr

FOUR, SIX = "192.0.2.1", "2001:db8::1"


def names(address: str, *found: str) -> dict[str, dict[str, list[str]]]:
    return {ip_address(address).reverse_pointer: {"PTR": list(found)}}


def test_a_name_that_leads_back_is_right(server: DnsServer, ask: Ask) -> None:
    server.know({
        **names(FOUR, "mail.test"),
        **names(SIX, "another.test", "mail.test"),
        "mail.test": {"A": ["192.0.2.9", FOUR], "AAAA": ["2001:0db8:0::1"]},
    })  # fmt: skip
    assert judge_ptr([FOUR, "2001:DB8:0::1"], ask) == (
        Named(FOUR, State.RIGHT, names=("mail.test",)),
        Named("2001:DB8:0::1", State.RIGHT, names=("another.test", "mail.test")),
    )


def test_which_address_has_none_or_a_wrong_one_is_said() -> None:
    zones = {**names(FOUR, "mail.test"), "mail.test": {"A": ["192.0.2.9"], "AAAA": [SIX]}}
    assert judge_ptr([FOUR, SIX], known(zones)) == (
        Named(FOUR, State.WRONG, Why.NOT_CONFIRMED, ("mail.test",)),
        Named(SIX, State.MISSING, Why.NO_NAME),
    )


def test_what_cannot_be_asked_is_not_known() -> None:
    away = known(names(FOUR, "mail.test", "gone.test"), away=("mail.test", ip_address(SIX).reverse_pointer))
    assert judge_ptr([FOUR, SIX], away) == (
        Named(FOUR, State.UNKNOWN, Why.UNREACHABLE, ("mail.test", "gone.test")),
        Named(SIX, State.UNKNOWN, Why.UNREACHABLE),
    )
