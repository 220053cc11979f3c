"""DMARC: a domain's policy as receivers find and read it (RFC 7489, 6), and whose names count as one (3.1)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from publicsuffixlist import PublicSuffixList

from vestnik.senders.answers import Ask, Kind
from vestnik.senders.findings import Why

LABEL = "_dmarc"
_BEGIN = re.compile(r"v[ \t]*=[ \t]*DMARC1[ \t]*(?:;|$)")
_TAG = re.compile(r"\s*([A-Za-z]+)\s*=\s*(.*?)\s*", re.DOTALL)
_KNOWN = frozenset(["v", "p", "sp", "np", "t", "psd", "adkim", "aspf", "pct", "rua", "ruf", "fo", "rf", "ri"])
_REPORT = re.compile(r"(?:mailto:[^\s@,!]+@[^\s@,!]+|https?://[^\s,!]+)(?:!\d+[kmgt]?)?", re.IGNORECASE)
_PERCENT = re.compile(r"100|\d{1,2}", re.ASCII)


class Wish(StrEnum):
    """What is to become of letters that do not pass."""

    NONE = "none"
    QUARANTINE = "quarantine"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy, with what counts where nothing is said. `wrong` are tags with a value that receivers ignore."""

    wish: Wish = Wish.NONE
    subdomains: Wish = Wish.NONE
    strict_dkim: bool = False
    strict_spf: bool = False
    percent: int = 100
    reports: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()


class Malformed(ValueError):
    """A text is no policy, and receivers go on as if there were none. Its argument is the tag, or the text."""


def published(values: Iterable[str]) -> tuple[str, ...]:
    """Return those of a name's texts that are meant for DMARC (RFC 7489, 6.6.3)."""
    return tuple(value for value in values if _BEGIN.match(value))


def parse(text: str) -> Policy:
    """Return the policy that a text is. Raises Malformed.

    Without a right `p`, or with a wrong `sp`, there has to be somebody who wants reports: then nothing is done with
    letters (RFC 7489, 6.6.3). A tag that is
    there twice makes the whole text invalid (RFC 6376, 3.2).
    """
    if not published([text]):
        raise Malformed(text)
    tags: dict[str, str] = {}
    wrong: list[str] = []
    for written in filter(str.strip, text.split(";")):
        if tag := _TAG.fullmatch(written):
            name = tag[1].lower()
            if name in tags and name in _KNOWN:
                raise Malformed(name)
            tags.setdefault(name, tag[2])
        else:
            wrong.append(written.strip())
    reports = tuple(each.strip() for each in tags.get("rua", "").split(",") if _REPORT.fullmatch(each.strip()))
    wish, subdomains = _wish(tags.get("p")), _wish(tags.get("sp", tags.get("p")))
    wrong += [name for name, found in (("p", wish), ("sp", subdomains)) if found is None]
    if wish is None or subdomains is None:
        if not reports:
            raise Malformed(wrong[-1])
        wish = subdomains = Wish.NONE
    if len(reports) < len(tags.get("rua", "").split(",")) and "rua" in tags:
        wrong.append("rua")
    wrong += [name for name in ("adkim", "aspf") if tags.get(name, "r").lower() not in ("r", "s")]
    percent = tags.get("pct", "100")
    if not _PERCENT.fullmatch(percent):
        wrong.append("pct")
    return Policy(
        wish,
        subdomains,
        strict_dkim=tags.get("adkim", "").lower() == "s",
        strict_spf=tags.get("aspf", "").lower() == "s",
        percent=int(percent) if "pct" not in wrong else 100,
        reports=reports,
        wrong=tuple(dict.fromkeys(wrong)),
    )


def _wish(value: str | None) -> Wish | None:
    try:
        return Wish((value or "").lower())
    except ValueError:
        return None


class Found(NamedTuple):
    """What receivers find: at which name, which texts, the policy; and why there is none."""

    name: str
    values: tuple[str, ...] = ()
    policy: Policy | None = None
    why: Why | None = None
    """None where there is a policy, or no text at all."""


def find(domain: str, ask: Ask) -> Found:
    """Return the policy of a domain, or of the organisation's domain where it has none itself (RFC 7489, 6.6.3)."""
    for owner in dict.fromkeys((domain, organisational(domain))):
        name = f"{LABEL}.{owner}"
        answer = ask(name, Kind.TXT)
        if answer.trouble:
            return Found(name, why=Why(answer.trouble.value))
        texts = published(answer.values)
        if len(texts) > 1:
            return Found(name, texts, why=Why.SEVERAL)
        for text in texts:
            try:
                return Found(name, texts, parse(text))
            except Malformed:
                return Found(name, texts, why=Why.POLICY_UNREADABLE)
    return Found(f"{LABEL}.{domain}")


def organisational(domain: str) -> str:
    """Return the domain that somebody registered: the public suffix with one label before it (RFC 7489, 3.2).

    A public suffix is its own.
    """
    return _suffixes().privatesuffix(domain) or domain


@lru_cache(maxsize=1)
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()


def aligned(from_domain: str, other: str, *, strict: bool = False) -> bool:
    """Say whether a domain may speak for the one in From: the same, or of the same organisation (RFC 7489, 3.1)."""
    one, another = (name.lower().removesuffix(".") for name in (from_domain, other))
    if not another:
        return False
    return one == another or (not strict and organisational(one) == organisational(another))


class Alignment(NamedTuple):
    """By what DMARC passes, where the signature or the envelope's SPF does."""

    dkim: bool
    spf: bool

    @property
    def passes(self) -> bool:
        """Whether one of them is enough."""
        return self.dkim or self.spf


def alignment(
    from_domain: str, dkim_domains: Iterable[str], envelope_domain: str, policy: Policy | None = None
) -> Alignment:
    """Return which domains count for the one in From: those that sign, and that of the envelope; empty is none."""
    policy = policy or Policy()
    return Alignment(
        any(aligned(from_domain, domain, strict=policy.strict_dkim) for domain in dkim_domains),
        aligned(from_domain, envelope_domain, strict=policy.strict_spf),
    )
