"""The letters about senders: whether somebody agrees to be one, and that a domain's records are broken."""

from __future__ import annotations

from collections.abc import Sequence

from django.conf import settings
from django.core import signing
from django.core.mail import send_mail
from django.utils import translation
from django.utils.translation import gettext as _

from vestnik.accounts.letters import GIVE_UP_AFTER
from vestnik.accounts.models import User
from vestnik.senders.models import Domain, Sender
from vestnik.sharing_letters import had_enough, harmless

_SALT = "vestnik.senders.confirm"
CONFIRM = "/senders/confirm/"
"""The page behind the link, with a token after it."""


def ask_to_confirm(sender: Sender) -> bool:
    """Ask, by a letter to the address, whether it agrees to be a sender; say whether one was written.

    None is if the address has had many letters of ours today: anybody can name it.
    """
    if had_enough(sender.address):
        return False
    owner = sender.owner
    who = harmless(owner.full_name)
    link = f"{settings.SITE_URL}{CONFIRM}{token_of(sender)}/"
    with translation.override(owner.language):  # nobody but who reads it sees in which language it is
        lines = [
            _("%(who)s wants to write letters from this address, %(address)s, at %(site)s.")
            % {
                "who": f"{who} ({owner.email})" if who else owner.email,
                "address": sender.address,
                "site": settings.SITE_URL,
            },
            _("If that is right, open this link and say so:"),
            "",
            link,
            "",
            _("The link works for three days. If you do not know who this is, do nothing: no letter comes from your"
              " address then."),
            "",
        ]  # fmt: skip
        send_mail(_("May letters come from your address?"), "\n".join(lines), None, [sender.address])
    return True


def token_of(sender: Sender) -> str:
    """Return what stands in the link for three days."""
    return signing.dumps(sender.pk, salt=_SALT)


def asked(token: str) -> Sender | None:
    """Return the sender whose letter had this token; None if it is none of ours, too old, or the sender is gone."""
    try:
        pk = signing.loads(token, salt=_SALT, max_age=GIVE_UP_AFTER)
    except signing.BadSignature:
        return None
    return Sender.objects.select_related("owner").filter(pk=pk, owner__is_active=True).first()


def tell_of_broken(domain: Domain, names: Sequence[str], to: User) -> None:
    """Tell somebody that the DNS does not say any more what it said of a domain, at these names; not if they had many
    letters of ours today, for a record may come and go.
    """
    if had_enough(to.email):
        return
    with translation.override(to.language):
        lines = [
            _("The DNS records of %(domain)s were right, and are not any more:") % {"domain": domain},
            "",
            *names,
            "",
            _("Letters go on, but may be taken for spam, or come from the installation's address. What to set is on"
              " this page:"),
            f"{settings.SITE_URL}/senders/domains/{domain.pk}/",
            "",
        ]  # fmt: skip
        send_mail(
            _("The DNS records of %(domain)s are broken") % {"domain": domain}, "\n".join(lines), None, [to.email]
        )


def tell_of_refusal(domain: Domain) -> None:
    """Tell a domain's owner that the mail service takes no letters from it; of the installation's the log tells."""
    if domain.owner is None or not domain.owner.is_active or had_enough(domain.owner.email):
        return
    with translation.override(domain.owner.language):
        lines = [
            _("The mail service does not take letters from addresses at %(domain)s.") % {"domain": domain},
            "",
            _("Nobody is left out: your letters come from the installation's address now, and answers go to you. Ask"
              " the administrator whether the mail service can take this domain; then have it tried again here:"),
            f"{settings.SITE_URL}/senders/domains/{domain.pk}/",
            "",
        ]  # fmt: skip
        subject = _("Letters no longer come from %(domain)s") % {"domain": domain}
        send_mail(subject, "\n".join(lines), None, [domain.owner.email])
