"""Whom a refusal is about: by its enhanced status code (RFC 3463, RFC 5248, RFC 7505), the step, and its text.

A refusal that is certainly about the letter ends the letter; one that may be about us does not, unless others are
accepted meanwhile (sending/doubts.py). So what is not certain is UNCLEAR: a mistake to that side costs time, and one to
the other side costs letters. A code counts where a reply begins: further on it is quoted, and another server's. No
network.
"""

import re

from dispatcher.providers.base import ANSWER_LIMIT, About, Letter, Receipt, in_ascii
from vestnik.mail import status_codes

HTTP = "HTTP"
"""The step of a service that has only one."""

RECONNECT = "3.2"
"""Not in this session: services that test a client's patience take its letters the next time it connects."""

# After another server's reply code, in brackets, or as qmail writes it, which also ends its first line with it.
_ENHANCED = re.compile(
    r"(?:[45]\d\d[ -]+)?[\[(<]?#?([245])\.(\d{1,3})\.(\d{1,3})(?!\d|\.\d)"
    r"|[^/]{0,200}\(#([245])\.(\d{1,3})\.(\d{1,3})\)(?= /|$)"
)

# Without their class: temporary or permanent, they are about the same.
_ADDRESS = frozenset({"1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "1.10"})
_BY_CODE = {
    # The address, the mailbox; 3.4: too large; 6.7: without SMTPUTF8; 7.17, 7.18: somebody else's by now.
    **dict.fromkeys((*_ADDRESS, "2.1", "2.2", "2.3", "2.4", "3.4", "6.7", "7.16", "7.17", "7.18"), About.LETTER),
    # The sender's address, the service's own state, our login (7.8 to 7.14); 7.20 to 7.29: DKIM, SPF, DMARC …
    **dict.fromkeys(("1.7", "1.8", "3.1", "3.2", "3.3", "3.5", "7.3"), About.US),
    **dict.fromkeys((f"7.{detail}" for detail in (*range(8, 15), *range(20, 30))), About.US),
}
_OF_ONE = frozenset({*_ADDRESS, "2.2", "2.3", "2.4", "3.4", "6.7"})
"""Codes that are about one mailbox even if temporary; with others a service in trouble may answer everybody."""
_BEFORE_A_RECIPIENT = frozenset({"2.3", "3.4", "6.7"})
"""Codes about the letter that can be known at MAIL."""
_ON_THE_WAY = frozenset(f"4.{detail}" for detail in range(1, 8))
_PERHAPS_GONE = frozenset({"", "1.0", "1.2"})
"""No code at all, any address status, no such domain: a name server in trouble says so, too."""
_OF_A_MAILBOX = frozenset({550, 551, 553})
"""Reply codes (RFC 5321, 4.2.3) that may be about one."""
_OTHER_ADDRESS, _CLOSED_LIST = "1.0", "7.2"
_STORAGE, _TAKES_NO_MAIL, _TOO_LARGE_OVER_HTTP = 552, 556, 413
_LEAVE_ALONE = frozenset({421, 429})

_SENDER = re.compile(
    r"\bsend(?:er|ing)(?:'s)?(?: (?:e-?mail|mail|account|address|domain|host|ip|server|user|mailbox|envelope))*"
    r"(?: is| was| has been)?(?: currently| temporarily)? "
    r"(?:reject|refus|denied|not |suspend|disabl|block|invalid|unknown|unauthori|verif|does)"
    r"|(?:domain|address) of (?:the )?sender|(?:invalid|unknown|bad|unverified|unauthori[sz]ed) (?:envelope )?sender"
    r"|from address\b|(?:return|reverse)[- ]path\b|envelope[- ]from\b|(?:client host|helo command) rejected"
    r"|verify (?:the |your )?sender"
)
"""Texts that outweigh a code about an address, for servers use it of senders, too …"""
_OURS = re.compile(r"\bmail from\b|\bsending\b")
"""… and so do these, and other texts about us."""
_PACE = re.compile(
    r"too (?:many|much|fast|frequent|quickly)|\brate\b|throttl|slow(?:er| down)|exceed\w* .{0,40}(?:limit|quota|number)"
    r"|(?:limit|quota|number) .{0,60}exceed|(?:hourly|daily|monthly|sending|relay\w*|connections?|messages?)"
    r"(?: \w{1,20})? (?:limit|quota)|(?:limit|quota) (?:was |is |has been )?reached|reached .{0,40}(?:limit|quota)"
    r"|(?:exceed|max)\w* .{0,60}\bper (?:second|minute|hour|day)\b"
)
_OF_SENDING = re.compile(
    r"\b(?:send\w*|sent|submi\w+|outgoing|outbound|daily|hourly|monthly|rate|your|you've|you have|connections?|messages"
    r"|recipients|relay\w*)\b|\bper (?:day|hour|minute|second)\b"
)
_HOW_MANY = re.compile(rf"{_OF_SENDING.pattern}|too (?:many|much|fast)|throttl")
"""What a quota must be about where 552 may mean the mailbox's (RFC 5321, 4.2.3)."""
_RECEIVES_TOO_MUCH = re.compile(r"receiving (?:mail|messages|e-?mail) (?:at a rate|too (?:quickly|fast))")
_FULL = re.compile(
    r"(?:mailbox|inbox|maildir|user|recipient)(?:'s)?\b.{0,60}"
    r"(?:\bfull\b|over ?quota|(?:quota|storage|size|space|limit)\b.{0,30}exceed"
    r"|exceed\w*.{0,40}(?:quota|limit|storage|size|space|allocation)|(?:out of|no|insufficient) (?:storage|space))"
    r"|(?:quota|storage|limit)\b.{0,30}exceed\w*.{0,60}(?:mailbox|inbox|user|recipient)"
    r"|exceed\w* .{0,20}storage (?:allocation|limit|quota)|\bover ?quota\b|mailbox full"
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
    r"|blocked using|spamhaus|\bdns[bwr]l\b|\brbl\b|\blisted (?:in|at|by|on)\b|reputation|\[tss\d+\]"
    r"|(?:messages|mail) from .{0,60}(?:deferred|blocked|refused|rejected)"
    r"|your (?:e-?mail )?(?:ip|host|server|domain|account|subscription|plan|network|access)\b"
    r"|(?:to|send) (?:testing e-?mails to )?your own |verify a domain|trial account"
)
_TROUBLE = re.compile(
    r"service (?:is )?(?:currently |temporarily )?(?:not |un)available"
    r"|temporar\w* (?:\w{1,20} )?(?:problem|error|failure)"
    r"|(?:server|system|service|host)(?: is)?(?: currently| temporarily)?(?: too)? (?:busy|overload|down|unavailable)"
    r"|too busy|overloaded|(?:server|system|internal|local|configuration|database|policy|milter|processing) "
    r"(?:\w{1,20} )?(?:error|problem|failure|unavailable)|(?:mail|policy|milter|database) (?:service|server)"
    r"|maintenance|(?:insufficient|out of|not enough|resources?|low)\b.{0,20}"
    r"(?:resources?|memory|storage|disk|space|unavailable)\b|load average|unable to (?:process|accept|queue)"
    r"|(?:cannot|can't|could not) (?:process|accept|queue|complete)"
)
"""Temporary refusals of a service that is in trouble itself."""
_TOO_LARGE = re.compile(r"too (?:large|big)|\bsize .{0,30}(?:exceed|limit)|exceed\w* .{0,30}\bsize")
_RECIPIENT = re.compile(
    r"(?:user|recipient|mailbox|address|addressee|person)s?\b.{0,60}"
    r"(?:unknown|not (?:found|exist|known|valid|here|active)|does(?:n't| not) exist|no longer|disabled|inactive)"
    r"|(?:unknown|unrouteable|unroutable|non-?existent) (?:user|recipient|mailbox|local|address|account)"
    r"|no (?:such|valid) (?:user|recipient|mailbox|person|address|account|local)|no mailbox (?:here|by)"
    r"|(?:mailbox|inbox).{0,30}(?:\bfull\b|quota)|not a (?:known|valid|local) (?:user|mailbox|recipient)"
)
_NOT_THE_RECIPIENT = re.compile(
    r"\b(?:you|your|you're|send\w*|client|host|server|ip|reverse|dns|lookup|relay\w*|spam\w*|block\w*|polic\w*"
    r"|auth\w*|log(?:ged)? ?(?:in|on)\w*|sign(?:ed)? ?in\w*|from|api|keys?|tokens?|credentials?|password|verif\w*"
    r"|callout|templates?|variables?|param\w*|fields?|headers?)\b"
)
_RECIPIENT_OVER_HTTP = re.compile(r"recipient|mailbox|inbox|addressee")
"""Over HTTP a user or an account is ours as often."""
_GREYLISTED = re.compile(r"gr[ea]y[- ]?list|postgrey|not yet authori[sz]ed|first[- ]time (?:sender|delivery)")
_VERIFIED = re.compile(r"\bverif(?:y|ication)\b")
_ONE_RECIPIENT_FORBIDDEN = re.compile(r"recipient|your own|only (?:be )?sen[dt]|verify a domain|trial|sandbox|testing")

_VARYING = re.compile(
    r"https?://\S+|<[^>]*>|\([^)]*\)|\[[^]]*\]|\"[^\"]*\"|\S*@\S*|\S*[^\W\d_]\.[^\W\d_]\S*|\S*[\d_]\S*"
)


def about(step: str, code: int, text: str, letter: Letter | None = None) -> About:
    """Say whom a refusal is about: an answer of 4yz or 5yz at MAIL, RCPT, DATA or the content; or 4xx over HTTP.

    `letter` is the refused one: an answer that quotes its sender, and not its recipient, is about the sender.
    """
    said = text[:ANSWER_LIMIT].lower()
    plain = _VARYING.sub(" ", said)
    for_now = code < 500 and step != HTTP
    enhanced = enhanced_code(said, "4" if for_now else "5")
    if code in _LEAVE_ALONE:
        return About.PACE
    if enhanced == "3.4" or _TOO_LARGE.search(said) or code == _TOO_LARGE_OVER_HTTP:
        return About.LETTER
    if _SENDER.search(plain):
        return About.US
    if letter is not None and enhanced == _OTHER_ADDRESS and _quotes(said, letter.recipient):
        enhanced = ""
    found = _by_code(step, enhanced, said, plain, for_now) or _by_words(step, code, enhanced, said, plain)
    of_an_address = found is About.LETTER or enhanced == _OTHER_ADDRESS or _VERIFIED.search(plain)
    if of_an_address and not _GREYLISTED.search(said) and letter is not None and _means_sender(said, letter):
        return About.US
    if found is About.UNCLEAR and for_now and step != "MAIL" and enhanced.partition(".")[0] in ("1", "4", "7"):
        return About.LETTER  # the way to this recipient; most services say "greylisted" by 4.7.1
    return found


def may_meet_everybody(receipt: Receipt) -> bool:
    """Say whether a service in trouble may refuse all letters like that: a refusal for now of one refused before."""
    said = receipt.answer[:ANSWER_LIMIT].lower()
    if receipt.about is not About.LETTER:
        return True
    of_one = enhanced_code(said, "4") in _OF_ONE or _GREYLISTED.search(said) or _TOO_LARGE.search(said)
    return not of_one and not _is_of_the_recipient("RCPT", _VARYING.sub(" ", said))


def party(receipt: Receipt) -> str:
    """Return whom a refusal concerns: the recipient, or its domain if the way to it fails (RFC 3463, X.4.1 to
    X.4.7).
    """
    recipient = receipt.letter.recipient
    code = enhanced_code(receipt.answer[:ANSWER_LIMIT].lower(), "4")
    if receipt.about is About.LETTER and code in _ON_THE_WAY:
        return recipient.rpartition("@")[2]
    return recipient


def mailbox_is_gone(code: int, text: str) -> bool | None:
    """Say whether a refusal for good means that the mailbox is not there; None where that is likely, and not certain.

    Full mailboxes, too many letters, policies and whatever is about us are not.
    """
    said = text[:ANSWER_LIMIT].lower()
    plain = _VARYING.sub(" ", said)
    enhanced = enhanced_code(said, "5")
    if _FULL.search(plain) or _RECEIVES_TOO_MUCH.search(plain) or _PACE.search(said) or _SENDER.search(plain):
        return False
    if code < 500 or about("RCPT", code, text) is not About.LETTER:
        return False
    if enhanced in status_codes.GONE:
        return True
    return None if enhanced in _PERHAPS_GONE and (enhanced or code in _OF_A_MAILBOX) else False


def names_the_recipient(text: str) -> bool:
    """Say whether the words are about the mailbox, and name nothing of ours beside."""
    plain = _VARYING.sub(" ", text[:ANSWER_LIMIT].lower())
    return _is_full("RCPT", plain) or bool(_RECIPIENT.search(plain) and not _NOT_THE_RECIPIENT.search(plain))


def is_of_one_recipient(text: str) -> bool:
    """Say whether a service that forbids a letter (HTTP 403) forbids its recipient, and not our token."""
    return bool(_ONE_RECIPIENT_FORBIDDEN.search(text[:ANSWER_LIMIT].lower()))


def enhanced_code(text: str, its_class: str) -> str:
    """Return the enhanced status code at the text's beginning without its class (4 or 5): "1.1" of 5.1.1.

    Empty where there is none of this class.
    """
    found = _ENHANCED.match(text)
    if found is None:
        return ""
    its, subject, detail = (first or last for first, last in zip(found.groups()[:3], found.groups()[3:], strict=True))
    return f"{int(subject)}.{int(detail)}" if its == its_class else ""


def gist(text: str) -> str:
    """Return what all refusals of one kind have in common: without addresses, names, numbers, and texts in brackets."""
    return " ".join(re.findall(r"[^\W\d_]{2,}", _VARYING.sub(" ", text[:ANSWER_LIMIT].lower())))


def _by_code(step: str, enhanced: str, said: str, plain: str, for_now: bool) -> About | None:
    """Return what the code says, unless the text says more."""
    subject = enhanced.partition(".")[0]
    if _RECEIVES_TOO_MUCH.search(plain):
        return About.PACE if for_now else About.LETTER
    if subject in ("2", "3") and _PACE.search(said) and not (subject == "2" and _is_full(step, plain)):
        return About.PACE if for_now or subject == "3" or _OF_SENDING.search(plain) else _BY_CODE.get(enhanced)
    if enhanced == _CLOSED_LIST:
        return About.LETTER if step != "MAIL" and "list" in plain.split() else None
    found = _BY_CODE.get(enhanced)
    if found is About.LETTER and step == "MAIL" and enhanced not in _BEFORE_A_RECIPIENT:
        return About.UNCLEAR  # nobody has named a recipient yet
    if found is About.LETTER and subject in ("1", "2") and (_US.search(said) or _OURS.search(plain)):
        return About.US
    if found is not None:
        return found
    return About.US if for_now and subject == "3" else None


def _by_words(step: str, code: int, enhanced: str, said: str, plain: str) -> About:
    for_now = code < 500 and step != HTTP
    if for_now and _GREYLISTED.search(said):
        return About.LETTER
    if step != "MAIL" and enhanced != _OTHER_ADDRESS and (_is_of_the_recipient(step, plain) or code == _TAKES_NO_MAIL):
        return About.LETTER
    if _PACE.search(said) and not (code == _STORAGE and not enhanced and not _HOW_MANY.search(plain)):
        return About.PACE
    if _US.search(said) or (for_now and _TROUBLE.search(plain)):
        return About.US
    return About.LETTER if for_now and enhanced.startswith("2.") else About.UNCLEAR


def _is_of_the_recipient(step: str, plain: str) -> bool:
    if step == HTTP and not _RECIPIENT_OVER_HTTP.search(plain):
        return False
    return _is_full(step, plain) or bool(_RECIPIENT.search(plain) and not _NOT_THE_RECIPIENT.search(plain))


def _is_full(step: str, plain: str) -> bool:
    return bool(_FULL.search(plain)) and not _OF_SENDING.search(plain)


def _means_sender(said: str, letter: Letter) -> bool:
    return _quotes(said, letter.sender) and not _quotes(said, letter.recipient)


def _quotes(said: str, address: str) -> bool:
    return bool(address) and (address.lower() in said or in_ascii(address).lower() in said)
