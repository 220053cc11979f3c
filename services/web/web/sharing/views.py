from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.views.generic import FormView, View

from vestnik import addresses, sharing
from vestnik.clients.models import ClientList
from vestnik.mailings.models import Mailing, Message
from web.pages import OwnersPage, asked_by, number
from web.sharing.forms import ShareForm

KINDS: dict[str, tuple[Any, str]] = {
    "mailing": (Mailing, "mailings:detail"),
    "message": (Message, "messages:detail"),
    "list": (ClientList, "lists:detail"),
}
"""The address's word for a kind of object, its model, and where such an object is seen."""


class OwnObject(OwnersPage):
    """Find an object of one's own: to share it is its owner's right alone."""

    request: HttpRequest
    kwargs: dict[str, Any]

    @cached_property
    def shared(self) -> Any:
        """Return the object. Raises Http404 where it is not the user's own."""
        if self.kwargs["kind"] not in KINDS:
            raise Http404
        model, _address = KINDS[self.kwargs["kind"]]
        obj = model.objects.filter(owner=self.request.user, pk=self.kwargs["pk"]).first()
        if obj is None:
            raise Http404
        return obj

    @property
    def here(self) -> str:
        """The address of this page."""
        return reverse("sharing:detail", kwargs=self.kwargs)


class Sharing(OwnObject, FormView):
    """Whom an object is shared with, and a form that shares it with one more."""

    form_class = ShareForm
    template_name = "sharing/detail.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(
            shared=self.shared,
            kind=self.kwargs["kind"],
            back=reverse(KINDS[self.kwargs["kind"]][1], args=[self.shared.pk]),
            shares=sharing.shares_of(self.shared),
            **kwargs,
        )

    def form_valid(self, form: ShareForm) -> HttpResponse:
        user, address = asked_by(self.request)
        said = form.cleaned_data
        try:
            share = sharing.share(self.shared, user, said["address"], said["level"], address)
        except ValidationError as refusal:
            form.add_error(None, refusal)
            return self.form_invalid(form)
        if share.was_there:
            said_again = _("It is shared with %(address)s just so already: nothing is changed, and no letter written.")
            messages.info(self.request, said_again % {"address": addresses.shown(share.address)})
            return redirect(self.here)
        messages.success(
            self.request,
            _(
                "Shared with %(address)s: at once if they have an account, else as soon as they have one. They are told"
                " by a letter, unless they have had many of ours today."
            )
            % {"address": addresses.shown(share.address)},
        )
        return redirect(self.here)


class TakeBack(OwnObject, View):
    """End a share."""

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        return HttpResponseRedirect(self.here if self.shared else "")

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        user, address = asked_by(request)
        wanted = number(request.POST.get("share"))
        for share in sharing.shares_of(self.shared):
            if share.pk == wanted:
                sharing.unshare(share, user, address)
                messages.success(
                    request, _("No longer shared with %(address)s.") % {"address": addresses.shown(share.address)}
                )
        return HttpResponseRedirect(self.here)
