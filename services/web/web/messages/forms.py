"""The form of a message."""

from django import forms
from django.utils.translation import gettext_lazy as _

from vestnik.mailings import verbs
from vestnik.mailings.models import Message
from web.forms import ThingForm


class MessageForm(ThingForm):
    placeholders = _(
        "Subject and texts may name {{ full_name }}, {{ email }} and {{ attributes.NAME }}: each client reads their"
        " own. A letter with HTML and a plain text is shown by every mail program."
    )

    class Meta:
        model = Message
        fields = ("subject", "text", "html")
        widgets = {
            "text": forms.Textarea({"rows": 12, "class": "font-monospace"}),
            "html": forms.Textarea({"rows": 12, "class": "font-monospace", "spellcheck": "false"}),
        }

    def by_verb(self) -> Message:
        return verbs.save_message(self.instance, self.cleaned_data.get("seen"))
