"""How the records stand that the owner of a domain was to set: by what the DNS says, without a word for people."""

import re
from collections.abc import Callable, Sequence
from enum import StrEnum

from vestnik.senders import dmarc, spf
from vestnik.senders.answers import Ask, Kind
from vestnik.senders.findings import Finding, State, Why
from vestnik.senders.records import OWNERSHIP, Purpose, Record
from vestnik.senders.spf import Mechanism, Result
from vestnik.senders.spf_check import MOST_LOOKUPS, MOST_VOIDS, check_host, survey

JudgeDkim = Callable[[str], tuple[State, StrEnum | None]]
"""Judges the text that is published as the key of the record at hand."""


def judge(record: Record, ask: Ask, judge_dkim: JudgeDkim | None = None) -> Finding:
    """Say how a record stands. Without `judge_dkim` a key has to be the same text, blanks aside.

    What is missing is also looked for at the name with the domain twice.
    """
    finding = _judged(record, record.name, ask, judge_dkim)
    if finding.state is State.MISSING:
        for zone in dict.fromkeys((record.domain, dmarc.organisational(record.domain))):
            twice = _judged(record, f"{record.name}.{zone}", ask, judge_dkim)
            if twice.state is State.RIGHT:
                return Finding(State.WRONG, Why.NAME_TWICE, twice.found)
    return finding


def _judged(record: Record, name: str, ask: Ask, judge_dkim: JudgeDkim | None) -> Finding:
    answer = ask(name, record.type)
    if answer.trouble:
        return Finding(State.UNKNOWN, Why(answer.trouble.value))
    values = answer.values
    match record.kind:
        case Purpose.OWNERSHIP:
            return _ownership(record, values)
        case Purpose.DKIM:
            return _dkim(record, values, judge_dkim or _same_as(record.value))
        case Purpose.RETURN_PATH:
            return _alias(record, name, values, ask)
        case Purpose.MX:
            return _servers(record, values, ask)
        case Purpose.SPF:
            return _spf(record, name, values, ask)
        case Purpose.DMARC:
            return _dmarc(record, name, values, ask)


def _ownership(record: Record, values: Sequence[str]) -> Finding:
    """Find the value: one of several is enough, for others may show the same domain to be theirs."""
    if record.value in (value.strip() for value in values):
        return Finding(State.RIGHT, None, tuple(values))
    if record.value in map(_without_quotes, values):
        return Finding(State.WRONG, Why.QUOTED, tuple(values))
    ours = tuple(value for value in values if OWNERSHIP in value)
    if any(_is_part(value, record.value) for value in ours):
        return Finding(State.WRONG, Why.CUT, ours)
    return Finding(State.WRONG, Why.ANOTHER_VALUE, ours) if ours else Finding(State.MISSING)


def _dkim(record: Record, values: Sequence[str], judge_dkim: JudgeDkim) -> Finding:
    keys = tuple(
        value for value in values if "p=" in value or "dkim1" in value.lower() or _is_part(value, record.value)
    )
    if len(keys) != 1:
        return Finding(State.WRONG, Why.SEVERAL, keys) if keys else Finding(State.MISSING)
    state, why = judge_dkim(keys[0])
    if state is State.RIGHT:
        return Finding(State.RIGHT, None, keys)
    if '"' in keys[0] and judge_dkim(_without_quotes(keys[0]))[0] is State.RIGHT:
        return Finding(State.WRONG, Why.QUOTED, keys)
    if _is_part(keys[0], record.value):
        return Finding(State.WRONG, Why.CUT, keys)
    return Finding(state, why, keys)


def _same_as(value: str) -> JudgeDkim:
    def same(found: str) -> tuple[State, StrEnum | None]:
        is_same = _compact(found).removesuffix(";") == _compact(value).removesuffix(";")
        return (State.RIGHT, None) if is_same else (State.WRONG, Why.ANOTHER_VALUE)

    return same


def _alias(record: Record, name: str, values: Sequence[str], ask: Ask) -> Finding:
    if tuple(values) == (record.value,):
        return Finding(State.RIGHT, None, tuple(values))
    if values:
        why = Why.TARGET_EXTENDED if _is_extended(values, record.value, record.domain) else Why.ANOTHER_VALUE
        return Finding(State.WRONG, why, tuple(values))
    for kind in (Kind.A, Kind.MX):
        if instead := ask(name, kind).values:
            return Finding(State.WRONG, Why.NO_ALIAS, instead)
    return Finding(State.MISSING)


def _servers(record: Record, values: Sequence[str], ask: Ask) -> Finding:
    """Find the server before any other, for nobody tries the second while the first takes mail."""
    if not values:
        return Finding(State.MISSING)
    host = record.value.partition(" ")[2]
    least = min(int(value.partition(" ")[0]) for value in values)
    first = [value.partition(" ")[2] for value in values if int(value.partition(" ")[0]) == least]
    if first != [host]:
        why = Why.TARGET_EXTENDED if _is_extended(first, host, record.domain) else Why.ANOTHER_VALUE
        return Finding(State.WRONG, why, tuple(values))
    answers = [ask(host, kind) for kind in (Kind.A, Kind.AAAA)]
    if any(answer.values for answer in answers):
        return Finding(State.RIGHT, None, tuple(values))
    for answer in answers:
        if answer.trouble:
            return Finding(State.UNKNOWN, Why(answer.trouble.value), tuple(values))
    return Finding(State.WRONG, Why.NO_ADDRESS, tuple(values))


def _spf(record: Record, name: str, values: Sequence[str], ask: Ask) -> Finding:
    """Find one policy that lets send whoever the wanted one lets send, whatever else it says."""
    texts = spf.published(values)
    if not texts:
        quoted = tuple(value for value in values if spf.published([_without_quotes(value)]))
        return Finding(State.WRONG, Why.QUOTED, quoted) if quoted else Finding(State.MISSING)
    if len(texts) > 1:
        return Finding(State.WRONG, Why.SEVERAL, texts)
    try:
        policy = spf.parse(texts[0])
    except spf.Malformed:
        return Finding(State.WRONG, Why.POLICY_UNREADABLE, texts)
    why = _fault_of_policy(record, name, policy, ask)
    if why is None:
        return Finding(State.RIGHT, None, texts)
    is_known = why not in (Why.UNREACHABLE, Why.BROKEN, Why.HAS_MACROS)
    return Finding(State.WRONG if is_known else State.UNKNOWN, why, texts)


def _fault_of_policy(record: Record, name: str, policy: spf.Policy, ask: Ask) -> Why | None:
    found = survey(name, policy, ask)
    if found.passes_all:
        return Why.ALL_PASS
    if found.lookups > MOST_LOOKUPS:
        return Why.TOO_MANY_LOOKUPS
    if found.fault:
        return found.fault
    if found.trouble:
        return Why(found.trouble.value)
    if found.voids > MOST_VOIDS:
        return Why.TOO_MANY_VOIDS
    for term in spf.parse(record.value).terms:
        if term.mechanism is Mechanism.INCLUDE and term.target not in found.included:
            return Why.HAS_MACROS if found.has_macros else Why.DOES_NOT_INCLUDE
        if term.network is not None:
            result = check_host(str(term.network.network_address), name, ask)
            if result is Result.TEMPERROR:
                return Why.UNREACHABLE
            if result is not Result.PASS:
                return Why.HAS_MACROS if result is Result.UNKNOWN else Why.DOES_NOT_INCLUDE
    return None


def _dmarc(record: Record, name: str, values: Sequence[str], ask: Ask) -> Finding:
    """Find any policy, be it that of the organisation's domain."""
    found = dmarc.find(name.removeprefix(f"{dmarc.LABEL}."), ask)
    if found.policy:
        return Finding(State.RIGHT, None, found.values)
    if found.why:
        is_known = found.why not in (Why.UNREACHABLE, Why.BROKEN)
        return Finding(State.WRONG if is_known else State.UNKNOWN, found.why, found.values)
    if quoted := tuple(value for value in values if dmarc.published([_without_quotes(value)])):
        return Finding(State.WRONG, Why.QUOTED, quoted)
    meant = tuple(value for value in values if "dmarc" in value.lower())
    return Finding(State.WRONG, Why.POLICY_UNREADABLE, meant) if meant else Finding(State.MISSING)


_QUOTES = re.compile(r'\\?"(?:\s*\\?")?')


def _without_quotes(value: str) -> str:
    """Return a text that was written with the quotes of a zone file as it was meant, its strings joined."""
    return _QUOTES.sub("", value).strip()


def _compact(value: str) -> str:
    return "".join(value.split())


def _is_part(value: str, whole: str) -> bool:
    """Say whether it is a piece of the whole text, blanks aside, but not all of it."""
    piece, text = _compact(value), _compact(whole)
    return len(piece) >= 8 and piece != text and piece in text


def _is_extended(values: Sequence[str], target: str, domain: str) -> bool:
    return any(value in (f"{target}.{zone}" for zone in (domain, dmarc.organisational(domain))) for value in values)
