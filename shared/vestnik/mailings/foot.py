"""What Vestnik adds to the end of a mailing's letters: who writes, from where, and the way out.

Where the message's author has put {{ unsubscribe_url }} into a text, that text stays as it is written.
"""

import re
from html import escape

from django.utils.translation import gettext as _
from django.utils.translation import override

from vestnik import access
from vestnik.mailings import rendering
from vestnik.mailings.ledger.models import MailingKind
from vestnik.mailings.models import Mailing, Message

_END_OF_BODY = re.compile(r"</body\s*>", re.IGNORECASE)
_UNSEEN = re.compile(
    r"<!--.*?(?P<comment>-->|\Z)|<(?P<name>script|style|title|textarea|noscript|template)\b.*?(?:</(?P=name)\s*>|(?P<open>\Z))",
    re.IGNORECASE | re.DOTALL,
)
"""What is in a document and not read: comments, also those that only Outlook reads; and what is not closed."""
_STYLE = (
    "margin:32px auto 0;padding:16px;max-width:600px;border-top:1px solid #d0d0d0;"
    "font:12px/1.5 Arial,Helvetica,sans-serif;color:#666666;text-align:center"
)


def kind_of(mailing: Mailing) -> str:
    """Return the kind that a run of it has: service letters only while its owner may send such."""
    if mailing.kind == MailingKind.SERVICE and not access.may_write_service_letters(mailing.owner):
        return MailingKind.MAILING
    return mailing.kind


def texts_of(mailing: Mailing, kind: str, name: str) -> tuple[str, str]:
    """Return the mailing's HTML and plain text as a run of this kind sends them in this name, placeholders and all."""
    message = mailing.message
    if kind == MailingKind.SERVICE:
        return message.html, message.text
    return texts(message, name, mailing.owner.postal_address)


def texts(message: Message, name: str, postal_address: str) -> tuple[str, str]:
    """Return the message's HTML and plain text with their feet, for letters of somebody of this name and address."""
    said = [rendering.without_braces(part) for part in (name, postal_address) if part.strip()]
    html, text = message.html, message.text
    with override(message.language):
        unsubscribe = _("Unsubscribe")
    if text.strip() and "unsubscribe_url" not in rendering.placeholders(text):
        text = "\n".join([text.rstrip(), "", "-- ", *said, f"{unsubscribe}: {{{{ unsubscribe_url }}}}", ""])
    if html.strip() and "unsubscribe_url" not in rendering.placeholders(_seen(html), html=True):
        link = f'<a href="{{{{ unsubscribe_url }}}}" style="color:#666666">{escape(unsubscribe)}</a>'
        lines = [*([" &middot; ".join(map(escape, said))] if said else []), link]
        html = _before_the_end(html, f'\n<div style="{_STYLE}">{"<br>".join(lines)}</div>\n')
    return html, text


def _seen(html: str) -> str:
    """Return the HTML with blanks for what nobody reads, each thing where it was."""
    return _UNSEEN.sub(lambda found: " " * len(found[0]), html)


def _before_the_end(html: str, foot: str) -> str:
    """Put the foot behind all that is read; what was left open would swallow it, and is closed."""
    ends = list(_END_OF_BODY.finditer(_seen(html)))
    if ends:
        return html[: ends[-1].start()] + foot + html[ends[-1].start() :]
    for found in _UNSEEN.finditer(html):
        if found["comment"] == "":
            return f"{html}-->{foot}"
        if found["open"] == "":
            return f"{html}</{found['name']}>{foot}"
    return html + foot
