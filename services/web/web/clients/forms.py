"""The forms of a client and of a file of clients."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from vestnik.clients import import_jobs, verbs
from vestnik.clients.attributes import MOST, MOST_BYTES, key
from vestnik.clients.csv_files import SEPARATORS
from vestnik.clients.encodings import ENCODINGS
from vestnik.clients.models import Client, ClientImport, ClientList
from web import pages
from web.forms import ObjectForm, VerbForm

INDENT = "  "


def written(attributes: dict[str, str]) -> str:
    """Write attributes as people do: one a line, “name: value”; what is indented goes on with the value above it."""
    return "\n".join(f"{name}: {text}".replace("\n", f"\n{INDENT}") for name, text in attributes.items())


def parsed(text: str) -> dict[str, str]:
    """Return the attributes that were written so. Raises ValidationError, which names the line."""
    lines: dict[str, list[str]] = {}
    names: set[str] = set()
    name = ""
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if name and line.startswith(INDENT):
            lines[name].append(line[len(INDENT) :])
        elif line.strip():
            name, colon, value = (part.strip() for part in line.partition(":"))
            if not colon:
                raise ValidationError(_("Line %(number)d has no colon; write “name: value”.") % {"number": number})
            if key(name) in names:
                raise ValidationError(
                    _("Line %(number)d: “%(name)s” stands there for the second time.")
                    % {"number": number, "name": name[:100]}
                )
            if len(names) >= MOST:
                raise ValidationError(
                    _("Line %(number)d: a client may have at most %(limit)d attributes.")
                    % {"number": number, "limit": MOST}
                )
            names.add(key(name))
            lines[name] = [value]
    attributes = {name: "\n".join(value).strip() for name, value in lines.items()}
    return {name: value for name, value in attributes.items() if value}


class AttributesField(forms.CharField):
    """A dictionary of texts in a text area."""

    widget = forms.Textarea({"rows": 4, "class": "font-monospace"})

    def __init__(self, **kwargs: Any) -> None:
        # Line breaks come as two characters and are indented; what is too long is refused before it is taken apart.
        super().__init__(max_length=2 * MOST_BYTES, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        return written(value) if isinstance(value, dict) else value

    def clean(self, value: Any) -> Any:
        return parsed(super().clean(value))


class NumbersField(forms.CharField):
    """Ids that a form was filled with, between spaces."""

    widget = forms.HiddenInput

    def prepare_value(self, value: Any) -> Any:
        return " ".join(map(str, value)) if isinstance(value, list) else value

    def clean(self, value: Any) -> Any:
        return {pages.number(word) for word in super().clean(value).split()}


class ClientForm(ObjectForm):
    about_all = "email"
    attributes = AttributesField(
        label=gettext_lazy("Attributes"),
        required=False,
        strip=False,
        help_text=gettext_lazy("One a line, for example “city: Oslo”. A message can name them: {{ attributes.city }}."),
    )
    lists = forms.ModelMultipleChoiceField(
        ClientList.objects.none(), label=gettext_lazy("Lists"), required=False, widget=forms.CheckboxSelectMultiple
    )
    was_on = NumbersField(required=False, max_length=1_000_000)

    class Meta:
        model = Client
        fields = ("email", "full_name", "comment", "attributes")
        widgets = {"comment": forms.Textarea({"rows": 3})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        client = self.instance
        self.fields["lists"].queryset = ClientList.objects.filter(owner=client.owner_id).order_by("name")  # type: ignore[attr-defined]
        if client.pk:
            self.initial["lists"] = self.initial["was_on"] = list(client.lists.values_list("pk", flat=True))

    def by_verb(self) -> Client:
        said = self.cleaned_data
        return verbs.save_client(
            self.instance, said["lists"], said.get("seen"), said["was_on"] if "was_on" in self.data else None
        )


class ImportForm(VerbForm):
    about_all = "file"
    file = forms.FileField(
        label=gettext_lazy("File"),
        widget=forms.FileInput({"accept": ".csv,.txt,.tsv,text/csv,text/plain,text/tab-separated-values"}),
    )
    client_list = forms.ModelChoiceField(
        ClientList.objects.none(),
        label=gettext_lazy("Put them on the list"),
        required=False,
        empty_label=gettext_lazy("no list, or the one named below"),
    )
    list_name = forms.CharField(
        label=gettext_lazy("Or on a new list called"),
        required=False,
        max_length=200,
    )

    field_order = ("file", "client_list", "list_name")

    class Meta:
        model = ClientImport
        fields = ("client_list", "list_name")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["client_list"].queryset = ClientList.objects.filter(owner=self.owner).order_by("name")  # type: ignore[attr-defined]

    def by_verb(self) -> ClientImport:
        uploaded = self.cleaned_data["file"]
        return import_jobs.take_file(
            self.owner, uploaded, uploaded.name, self.cleaned_data["list_name"], self.cleaned_data["client_list"]
        )


class ReadingForm(forms.Form):
    """How a file is to be read."""

    encoding = forms.ChoiceField(label=gettext_lazy("Encoding"), choices=lambda: list(ENCODINGS.items()))
    delimiter = forms.ChoiceField(
        label=gettext_lazy("Separator"),
        required=False,
        choices=lambda: [("", gettext_lazy("find it out")), *SEPARATORS.items()],
    )
