"""How each kind of service is spoken to, by the name that its address begins with (providers/url.py)."""

from dispatcher.providers.http.dialects.base import Answer, Dialect, Meaning, Request, Unfit, Unreadable
from dispatcher.providers.http.dialects.brevo import Brevo
from dispatcher.providers.http.dialects.mailgun import Mailgun
from dispatcher.providers.http.dialects.own import Own
from dispatcher.providers.http.dialects.postal import Postal
from dispatcher.providers.http.dialects.postmark import Postmark
from dispatcher.providers.http.dialects.sendgrid import SendGrid
from dispatcher.providers.http.dialects.unisender_go import UnisenderGo

OWN = Own()
DIALECTS: dict[str, Dialect] = {
    "": OWN,
    "mailgun": Mailgun(),
    "postal": Postal(),
    "sendgrid": SendGrid(),
    "postmark": Postmark(),
    "brevo": Brevo(),
    "unisendergo": UnisenderGo(),
}

__all__ = ["DIALECTS", "OWN", "Answer", "Dialect", "Meaning", "Request", "Unfit", "Unreadable"]
