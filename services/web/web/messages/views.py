from typing import Any, cast

from django.contrib.auth.decorators import login_required
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from vestnik.accounts.models import User
from vestnik.mailings import notices, verbs
from vestnik.mailings.models import Mailing, Message
from web.messages.forms import MessageForm
from web.messages.letters import attempt, framed, letter, with_pictures
from web.pages import ChangePage, CreatePage, DeletePage, DetailPage, ListPage, asked_by, number


class MessageList(ListPage):
    """One's messages, and those that were shared with one."""

    model = Message
    template_name = "messages/list.html"
    table_template = "messages/_table.html"
    sorts = {
        "-changed": ("-updated_at", "-pk"),
        "changed": ("updated_at", "pk"),
        "subject": ("subject", "pk"),
        "-subject": ("-subject", "-pk"),
    }

    def search(self, queryset: Any, text: str) -> Any:
        return queryset.filter(subject__icontains=text)

    def narrow(self, queryset: Any) -> Any:
        seen = Mailing.objects.own_or_shared(self.request.user)
        count = Count("mailings", filter=Q(mailings__in=seen))
        return queryset.select_related("owner").annotate(mailing_count=count).defer("html", "text")


class MessagePage(DetailPage):
    """A message, as a client would read it."""

    model = Message
    room = "messages"
    template_name = "messages/detail.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        message = self.object
        preview, fault = attempt(cast(User, self.request.user), message)
        mailings = message.mailings.visible_to(self.request.user).with_status().order_by("-pk")[:10]
        return super().get_context_data(
            preview=preview, fault=fault, mailings=mailings, notices=self._notices(message), **kwargs
        )

    def _notices(self, message: Message) -> list[str]:
        """Return what its writer should know; of their clients they alone."""
        person = cast(User, self.request.user)
        of_clients = notices.of_clients(message, person.pk) if message.owner_id == person.pk else []
        return notices.of_texts(message) + of_clients


@method_decorator(framed, "dispatch")
class MessageLetter(DetailPage):
    """The saved message, filled in for a client."""

    model = Message

    def render_to_response(self, context: Any, **_kwargs: Any) -> HttpResponse:
        request = self.request
        return letter(request, *attempt(cast(User, request.user), self.object, pictures=with_pictures(request)))


@framed
@login_required
@require_POST
def preview(request: HttpRequest) -> HttpResponse:
    """Show what is being written, filled in for a client; nothing is saved.

    `message` in the address: what is changed.
    """
    user = cast(User, request.user)
    written = {name: request.POST.get(name, "") for name in ("subject", "html", "text")}
    changed = Message.objects.filter(pk=number(request.GET.get("message"))).values_list("owner_id", flat=True).first()
    draft = Message(owner_id=changed or user.pk, **written)
    return letter(request, *attempt(user, draft, pictures=with_pictures(request)))


class NewMessage(CreatePage):
    """Write a message."""

    form_class = MessageForm
    template_name = "messages/form.html"

    def get_success_url(self) -> str:
        return reverse("messages:detail", args=[self.object.pk])

    def success(self, obj: Message) -> str:
        return _("The message is saved.")


class ChangeMessage(ChangePage):
    """Change a message."""

    model = Message
    room = "messages"
    form_class = MessageForm
    template_name = "messages/form.html"

    def get_success_url(self) -> str:
        return self.address_of(self.object)

    def success(self, obj: Message) -> str:
        return _("The message is saved. Runs that have begun keep the text they began with.")


class DeleteMessage(DeletePage):
    """Delete a message."""

    model = Message
    room = "messages"
    what_goes = gettext_lazy("The message goes for good. What was sent of it stays in the statistics of its mailings.")

    def delete_by_verb(self, obj: Message) -> str:
        verbs.delete_message(obj, *asked_by(self.request))
        return _("The message is deleted.")
