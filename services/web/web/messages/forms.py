"""The form of a message."""

from django import forms
from django.utils.translation import gettext_lazy as _

from vestnik.mailings import verbs
from vestnik.mailings.models import LONGEST_TEXT, Message
from vestnik.mailings.rendering import MOST_PLACEHOLDERS
from web.forms import ObjectForm


class MessageForm(ObjectForm):
    placeholders = _(
        "Subject and texts may name {{ full_name }}, {{ email }} and {{ attributes.NAME }}: each client reads their"
        ' own. Where a client may have none, write {{ full_name | default: "friend" }}. Inside links values are'
        " encoded as links want it. A letter with HTML and a plain text is shown by every mail program."
    )

    class Meta:
        model = Message
        fields = ("subject", "text", "html")
        widgets = {
            "text": forms.Textarea({"rows": 12, "class": "font-monospace"}),
            "html": forms.Textarea({"rows": 12, "class": "font-monospace", "spellcheck": "false"}),
        }

    @property
    def bounds(self) -> str:
        """How much may be written, for who reads the form."""
        said = _("Each of the texts may have %(characters)s characters and %(placeholders)s placeholders.")
        return said % {"characters": f"{LONGEST_TEXT:,}", "placeholders": f"{MOST_PLACEHOLDERS:,}"}

    def by_verb(self) -> Message:
        return verbs.save_message(self.instance, self.cleaned_data.get("seen"), by=self.owner)
