"""The records that the owner of a domain is to set."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address

from vestnik.mail.dkim_keys import record_name
from vestnik.senders import dmarc
from vestnik.senders.answers import Kind, Question

OWNERSHIP_LABEL = "_vestnik"
OWNERSHIP = "vestnik-verification="
MX_PREFERENCE = 10


class Purpose(StrEnum):
    """What a record is for."""

    OWNERSHIP = "ownership"
    DKIM = "dkim"
    RETURN_PATH = "return_path"
    MX = "mx"
    SPF = "spf"
    DMARC = "dmarc"


@dataclass(frozen=True, slots=True)
class Setup:
    """What the records follow from. Names are in ASCII and lower case; what is empty is not asked for."""

    domain: str
    token: str = ""
    """By which its owner shows that it is theirs."""
    dkim: tuple[tuple[str, str], ...] = ()
    """Selectors, and the text of each key."""
    return_path: str = ""
    """The label below the domain that bounces go to."""
    bounce_domain: str = ""
    """The installation's."""
    bounce_host: str = ""
    """The server that takes its mail."""
    spf_include: str = ""
    """The domain whose policy has the servers that send."""
    addresses: tuple[str, ...] = ()
    """IP addresses of servers that send, where they are the installation's own."""
    is_installations: bool = False
    """It is the domain of the installation's own address, and not that of somebody who sends by it."""


@dataclass(frozen=True, slots=True)
class Record:
    """A record to be set: its whole name, its value as a panel takes it; without it letters do not go, if required."""

    kind: Purpose
    name: str
    type: Kind
    value: str
    required: bool
    domain: str
    """The domain that it is about."""


def wanted(setup: Setup) -> list[Record]:
    """Return the records to be set, in the order in which people set them.

    DMARC's is the least that does; a policy of theirs is right as well, and is never to be replaced.
    """
    domain, envelope = setup.domain, setup.bounce_domain or setup.domain
    found: list[Record] = []

    def add(kind: Purpose, name: str, type_: Kind, value: str, *, required: bool, about: str = domain) -> None:
        found.append(Record(kind, name, type_, value, required, about))

    if setup.token and not setup.is_installations:
        value = f"{OWNERSHIP}{setup.token}"
        add(Purpose.OWNERSHIP, f"{OWNERSHIP_LABEL}.{domain}", Kind.TXT, value, required=True)
    for selector, value in setup.dkim:
        add(Purpose.DKIM, record_name(domain, selector), Kind.TXT, value, required=True)
    if setup.return_path and setup.bounce_domain and not setup.is_installations:
        name = f"{setup.return_path}.{domain}"
        add(Purpose.RETURN_PATH, name, Kind.CNAME, setup.bounce_domain, required=False)
    if setup.is_installations and setup.bounce_domain and setup.bounce_host:
        value = f"{MX_PREFERENCE} {setup.bounce_host}"
        add(Purpose.MX, envelope, Kind.MX, value, required=True, about=envelope)
    if setup.is_installations and (policy := _policy(setup)):
        add(Purpose.SPF, envelope, Kind.TXT, policy, required=True, about=envelope)
    add(Purpose.DMARC, f"{dmarc.LABEL}.{domain}", Kind.TXT, "v=DMARC1; p=none", required=False)
    return found


def _policy(setup: Setup) -> str:
    """Return the policy of SPF that lets the servers send; empty where none are known."""
    terms = [f"ip{ip_address(address).version}:{address}" for address in setup.addresses]
    terms += [f"include:{setup.spf_include}"] if setup.spf_include else []
    return " ".join(["v=spf1", *terms, "~all"]) if terms else ""


def questions(records: Iterable[Record]) -> list[Question]:
    """Return what `judging.judge` asks of the records first, to be asked side by side beforehand."""
    return list(dict.fromkeys(Question(record.name, record.type) for record in records))
