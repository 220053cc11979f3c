"""What the DNS says of a domain, in sentences: the core has codes."""

from collections.abc import Iterator
from typing import NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from vestnik.senders import checked
from vestnik.senders.models import Domain

TITLES = {
    "ownership": gettext_lazy("Proof that the domain is yours"),
    "dkim": gettext_lazy("Key of the signatures (DKIM)"),
    "return_path": gettext_lazy("Return path for bounces"),
    "mx": gettext_lazy("Mail server for bounces (MX)"),
    "spf": gettext_lazy("Servers that may send (SPF)"),
    "dmarc": gettext_lazy("What receivers do with forgeries (DMARC)"),
    "ptr": gettext_lazy("Name of the mail server (PTR)"),
    "alignment": gettext_lazy("What receivers will say (DMARC)"),
}
STATES = {
    "right": (gettext_lazy("right"), "status-green"),
    "missing": (gettext_lazy("not there yet"), "status-yellow"),
    "wrong": (gettext_lazy("wrong"), "status-red"),
    "unknown": (gettext_lazy("could not be asked"), "status-secondary"),
    "": (gettext_lazy("not asked yet"), "status-secondary"),
}
WHYS = {
    "unreachable": gettext_lazy("No server of this domain's DNS answers. Nothing is known; try again in some minutes."),
    "broken": gettext_lazy(
        "The DNS gives an answer that cannot be understood. Ask whoever runs the domain's name servers."
    ),
    "name_twice": gettext_lazy(
        "The record stands at a name that ends with the domain twice: the panel adds the domain by itself. Enter the"
        " name without it."
    ),
    "target_extended": gettext_lazy(
        "The record leads to a name with your domain appended: put a dot at the value's end."
    ),
    "quoted": gettext_lazy("Quotation marks have become part of the value: enter it without them."),
    "cut": gettext_lazy("Only the beginning of the value is there: the panel has cut it, or it was not copied whole."),
    "another_value": gettext_lazy("There is such a record with another value."),
    "another_key": gettext_lazy("There is another key at this name."),
    "secret_unreadable": gettext_lazy(
        "The record is there, but Vestnik cannot read its own half of this key any more (SECRET_KEY was changed): make"
        " new keys."
    ),
    "testing": gettext_lazy("The record says that it is only a test (t=y): receivers may pass over the signature."),
    "revoked": gettext_lazy("The record has no key (p= is empty): that means it is withdrawn."),
    "unreadable": gettext_lazy("What stands there is no record of a key."),
    "several": gettext_lazy(
        "There are several of these where only one may be: receivers take none of them. Unite them."
    ),
    "policy_unreadable": gettext_lazy("Receivers do not understand this record: there is a mistake in it."),
    "include_unreadable": gettext_lazy("A domain that the record includes has no record of its own that can be read."),
    "too_many_lookups": gettext_lazy(
        "The record has receivers ask the DNS more than ten times, all that it includes counted: they give up, and take"
        " it as broken."
    ),
    "too_many_voids": gettext_lazy("More than two names in the record do not exist: receivers give up on it."),
    "all_pass": gettext_lazy("The record ends with +all: it lets everybody send in the name of this domain."),
    "does_not_include": gettext_lazy("The record does not let our mail service send."),
    "has_macros": gettext_lazy("What the record says depends on the letter: only receivers can tell."),
    "no_alias": gettext_lazy("There is another kind of record at this name: a CNAME is wanted."),
    "no_address": gettext_lazy("The mail server that is named there has no address."),
    "no_name": gettext_lazy("The address of the mail server has no name: ask your hosting provider for a PTR record."),
    "not_confirmed": gettext_lazy("The name of the mail server's address does not lead back to this address."),
}
# What DMARC will say, by what the alignment stands on.
ALIGNED = {
    "both": gettext_lazy("Letters pass by their signature, and by the return path."),
    "dkim": gettext_lazy("Letters pass by their signature."),
    "spf": gettext_lazy("Letters pass by the return path. A signature would keep that true when they are forwarded."),
    "none": gettext_lazy(
        "Neither the signature nor the return path is of this domain: receivers that ask DMARC see letters from"
        " somebody else. Have letters signed, here or by your mail service."
    ),
}


class Shown(NamedTuple):
    """A record as the page has it."""

    title: str
    required: bool
    state: str
    colour: str
    why: str
    type: str
    name: str
    value: str
    found: tuple[str, ...]
    is_right: bool


def shown(domain: Domain) -> Iterator[Shown]:
    """Yield what is to be set, and what the DNS said of it when it was last asked."""
    for each in checked.of(domain):
        said, colour = STATES.get(each.state, STATES[""])
        words = str(said)
        why = ALIGNED.get(each.why) if each.kind == "alignment" else WHYS.get(each.why)
        if each.kind == "alignment":
            words = _("passes") if each.state == "right" else _("not as far as Vestnik knows")
        yield Shown(
            title=str(TITLES.get(each.kind, each.kind)),
            required=each.required,
            state=words,
            colour=colour,
            why=str(why or ""),
            type=each.type,
            name=each.name,
            value=each.value,
            found=each.found,
            is_right=each.state == "right",
        )
