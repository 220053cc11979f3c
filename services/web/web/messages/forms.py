"""The form of a message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.translation import gettext_lazy as _

from vestnik.mailings import verbs
from vestnik.mailings.models import LONGEST_TEXT, Message
from vestnik.mailings.rendering import MOST_PLACEHOLDERS
from web.forms import ObjectForm

if TYPE_CHECKING:
    from vestnik.accounts.models import User


class MessageForm(ObjectForm):
    placeholders = _(
        "Subject and texts may name {{ full_name }}, {{ email }} and {{ attributes.NAME }}: each client reads their"
        ' own. Where a client may have none, write {{ full_name | default: "friend" }}. Inside links values are'
        " encoded as links want it. A letter with HTML and a plain text is shown by every mail program."
        " {{ unsubscribe_url }} is the address at which the reader unsubscribes; a text that does not name it gets a"
        " line with it at its end."
    )

    class Meta:
        model = Message
        fields = ("subject", "text", "html", "language")
        widgets = {
            "text": forms.Textarea({"rows": 12, "class": "font-monospace"}),
            "html": forms.Textarea({"rows": 12, "class": "font-monospace", "spellcheck": "false"}),
        }

    def __init__(self, *args: Any, owner: User, **kwargs: Any) -> None:
        super().__init__(*args, owner=owner, **kwargs)
        self.fields["language"].required = False  # a form that was open before there was such a field
        if self.instance.pk is None:
            self.initial.setdefault("language", owner.language)

    def clean_language(self) -> str:
        """Return the language that was chosen; where none was, the one the message has, or its owner's."""
        chosen: str = self.cleaned_data["language"]
        return chosen or (self.instance.language if self.instance.pk else self.instance.owner.language)

    @property
    def bounds(self) -> str:
        """How much may be written, for who reads the form."""
        said = _("Each of the texts may have %(characters)s characters and %(placeholders)s placeholders.")
        return said % {"characters": f"{LONGEST_TEXT:,}", "placeholders": f"{MOST_PLACEHOLDERS:,}"}

    def by_verb(self) -> Message:
        return verbs.save_message(self.instance, self.cleaned_data.get("seen"), by=self.owner)
