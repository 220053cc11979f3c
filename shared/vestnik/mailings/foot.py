"""What Vestnik adds to the end of a mailing's letters: who writes, from where, and the way out.

Where the message's author has put {{ unsubscribe_url }} into a text, that text stays as it is written.
"""

import re
from html import escape

from django.utils.translation import gettext as _
from django.utils.translation import override

from vestnik.mailings import rendering
from vestnik.mailings.ledger.models import MailingKind
from vestnik.mailings.models import Mailing, Message

_END_OF_BODY = re.compile(r"</body\s*>", re.IGNORECASE)
_STYLE = (
    "margin:32px auto 0;padding:16px;max-width:600px;border-top:1px solid #d0d0d0;"
    "font:12px/1.5 Arial,Helvetica,sans-serif;color:#666666;text-align:center"
)


def texts_of(mailing: Mailing) -> tuple[str, str]:
    """Return the mailing's HTML and plain text as they are sent, placeholders and all."""
    message = mailing.message
    if mailing.kind == MailingKind.SERVICE:
        return message.html, message.text
    return texts(message, mailing.sender_name or mailing.owner.full_name, mailing.owner.postal_address)


def texts(message: Message, name: str, postal_address: str) -> tuple[str, str]:
    """Return the message's HTML and plain text with their feet, for letters of somebody of this name and address."""
    said = [rendering.without_braces(part) for part in (name, postal_address) if part.strip()]
    html, text = message.html, message.text
    with override(message.language):
        unsubscribe = _("Unsubscribe")
    if text.strip() and "unsubscribe_url" not in rendering.placeholders(text):
        text = "\n".join([text.rstrip(), "", "-- ", *said, f"{unsubscribe}: {{{{ unsubscribe_url }}}}", ""])
    if html.strip() and "unsubscribe_url" not in rendering.placeholders(html, html=True):
        link = f'<a href="{{{{ unsubscribe_url }}}}" style="color:#666666">{escape(unsubscribe)}</a>'
        lines = [*([" · ".join(map(escape, said))] if said else []), link]
        html = _before_the_end(html, f'\n<div style="{_STYLE}">{"<br>".join(lines)}</div>\n')
    return html, text


def _before_the_end(html: str, foot: str) -> str:
    ends = list(_END_OF_BODY.finditer(html))
    at = ends[-1].start() if ends else len(html)
    return html[:at] + foot + html[at:]
