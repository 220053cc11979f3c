"""Whom a refusal is about: by its enhanced status code (RFC 3463, RFC 5248, RFC 7505), the step, and its words.

A refusal that is certainly of the letter ends the letter; one that may be of us does not, unless others are taken
meanwhile (sending/doubts.py). So what is not certain is UNCLEAR: a mistake to that side costs time, and one to the
other side costs letters. No network here.
"""

import re

from dispatcher.providers.base import ANSWER_LIMIT, About

HTTP = "HTTP"
"""The step of a service that has but one."""

RECONNECT = "3.2"
"""Not in this session: services that try a client's patience take its letters the next time it connects."""

_ENHANCED = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?!\d|\.\d)")

# Without their class: for now or for good, they are about the same.
_BY_CODE = {
    # The address, the mailbox; 3.4: too large; 6.7: without SMTPUTF8; 7.2: a closed list; 7.17, 7.18: somebody else's.
    **dict.fromkeys(("1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "1.10", "2.1", "2.2", "2.3", "2.4"), About.LETTER),
    **dict.fromkeys(("3.4", "6.7", "7.2", "7.17", "7.18"), About.LETTER),
    # The sender's address, the service's own state, a login or encryption wanted; 7.20 to 7.29: DKIM, SPF, DMARC …
    **dict.fromkeys(("1.7", "1.8", "3.1", "3.2", "3.3", "3.5", "7.3", "7.8", "7.9", "7.10", "7.11"), About.US),
    **dict.fromkeys((f"7.{detail}" for detail in range(20, 30)), About.US),
}
_BEFORE_A_RECIPIENT = frozenset({"2.3", "3.4", "6.7"})
"""The letter's affairs that can be known at MAIL."""
_FULL_OR_TOO_LARGE, _TAKES_NO_MAIL, _TOO_LARGE_OVER_HTTP = 552, 556, 413
_LEAVE_ALONE = frozenset({421, 429})

_PACE = re.compile(
    r"too (?:many|much|fast|frequent|quickly)|\brate\b|throttl|slow(?:er| down)|exceed\w* .{0,40}(?:limit|quota|number)"
    r"|(?:limit|quota|number) .{0,60}exceed|(?:hourly|daily|sending|connection) (?:limit|quota)"
)
_US = re.compile(
    r"\brelay(?:ing)?\b.{0,60}(?:denied|not (?:permitted|allowed|authori[sz]ed)|prohibited|refused|disallowed"
    r"|forbidden)"
    r"|(?:denied|not (?:permitted|allowed|authori[sz]ed|able|going) to|unable to|cannot|can't|will not|won't"
    r"|do(?:es)? not|don't|no) relay|rcpthosts"
    r"|sender(?: address)?(?: is| was)? (?:rejected|refused|denied|not (?:allowed|permitted|owned))|sender verif"
    r"|domain of sender|(?:client host|helo command) rejected|cannot find your|reverse (?:dns|lookup|hostname)|\brdns\b"
    r"|unauthenticated|authentication (?:is )?(?:required|needed)|must (?:first )?authenticate|not authenticated"
    r"|authenticate first|log ?in first|issue a starttls|\bspf\b|\bdkim\b|\bdmarc\b|(?:block|black|deny) ?-?list"
    r"|blocked using|spamhaus|\bdns[bwr]l\b|\brbl\b|\blisted (?:in|at|by|on)\b|reputation"
    r"|your (?:ip|host|server|domain|account|subscription|plan|network)\b"
)
_TOO_LARGE = re.compile(r"too (?:large|big)|\bsize .{0,30}(?:exceed|limit)|exceed\w* .{0,30}\bsize")
_RECIPIENT = re.compile(
    r"(?:user|recipient|mailbox|address|addressee|person)s?\b.{0,60}"
    r"(?:unknown|not (?:found|exist|known|valid|here|active)|does(?:n't| not) exist|no longer|disabled|inactive)"
    r"|(?:unknown|unrouteable|unroutable|non-?existent) (?:user|recipient|mailbox|local|address|account)"
    r"|no (?:such|valid) (?:user|recipient|mailbox|person|address|account|local)|no mailbox (?:here|by)"
    r"|(?:mailbox|inbox).{0,30}(?:\bfull\b|quota)|not a (?:known|valid|local) (?:user|mailbox|recipient)"
)
_NOT_THE_RECIPIENT = re.compile(
    r"\b(?:you|your|you're|sender|sending|client|host|server|ip|reverse|dns|lookup|relay\w*|spam\w*|block\w*|policy"
    r"|auth\w*|log ?in|from)\b"
)
_GREYLISTED = re.compile(r"gr[ea]y[- ]?list|postgrey")

_VARYING = re.compile(
    r"https?://\S+|<[^>]*>|\([^)]*\)|\[[^]]*\]|\"[^\"]*\"|\S*@\S*|\S*[^\W\d_]\.[^\W\d_]\S*|\S*[\d_]\S*"
)


def about(step: str, code: int, words: str) -> About:
    """Whom a refusal is about: an answer of 4yz or 5yz at MAIL, RCPT, DATA or the content; or 4xx over HTTP."""
    said = words[:ANSWER_LIMIT].lower()
    for_now = code < 500 and step != HTTP
    enhanced = enhanced_code(said, "4" if for_now else "5")
    subject = enhanced.partition(".")[0]
    if code in _LEAVE_ALONE:
        return About.PACE
    if step == "MAIL" and enhanced and enhanced not in _BEFORE_A_RECIPIENT and _BY_CODE.get(enhanced) is About.LETTER:
        return About.UNCLEAR  # nobody has named a recipient yet
    if enhanced in _BY_CODE:
        return _BY_CODE[enhanced]
    if for_now and subject == "3":
        return About.US
    if for_now and (subject == "2" or _GREYLISTED.search(said)):
        return About.LETTER
    if (not enhanced and code in (_FULL_OR_TOO_LARGE, _TAKES_NO_MAIL, _TOO_LARGE_OVER_HTTP)) or _TOO_LARGE.search(said):
        return About.LETTER
    if step != "MAIL" and _is_of_the_recipient(said):
        return About.LETTER
    if _PACE.search(said):
        return About.PACE
    if _US.search(said):
        return About.US
    if for_now and step != "MAIL" and subject in ("1", "4", "7"):
        return About.LETTER  # the way to this recipient; 4.7.1 is how most say "greylisted"
    return About.UNCLEAR


def enhanced_code(words: str, its_class: str) -> str:
    """The first enhanced status code of this class (4 or 5), without it: "1.1" of 5.1.1; empty where there is none."""
    for found in _ENHANCED.finditer(words):
        if found[1] == its_class:
            return f"{int(found[2])}.{int(found[3])}"
    return ""


def gist(words: str) -> str:
    """What is the same in all refusals of one kind: without addresses, names, numbers, and what stands in brackets."""
    return " ".join(re.findall(r"[^\W\d_]{2,}", _VARYING.sub(" ", words[:ANSWER_LIMIT].lower())))


def _is_of_the_recipient(said: str) -> bool:
    plain = _VARYING.sub(" ", said)
    return bool(_RECIPIENT.search(plain)) and not _NOT_THE_RECIPIENT.search(plain)
