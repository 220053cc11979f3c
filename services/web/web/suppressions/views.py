"""Whom one does not write to: the list, who joins it by hand, and who may be written to again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe
from django.views.generic import FormView

from vestnik import access, addresses
from vestnik.accounts.models import User
from vestnik.clients import suppressions
from vestnik.clients.models import Suppression
from vestnik.clients.suppressions import SuppressionReason
from web.pages import ActionPage, OwnersPage, TablePage
from web.suppressions.forms import SuppressForm
from web.tables import back_to, csv_table


def standing(user: Any) -> Any:
    """Return what the user suppresses now, as a queryset."""
    return Suppression.objects.filter(owner=user, lifted_at=None)


class Suppressions(TablePage):
    """The addresses that one does not write to."""

    model = Suppression
    template_name = "suppressions/list.html"
    table_template = "suppressions/_table.html"
    sorts = {"-since": ("-pk",), "since": ("pk",)}

    def objects(self) -> Any:
        return standing(self.request.user).select_related("client_list")

    def search(self, queryset: Any, text: str) -> Any:
        return queryset.filter(address__startswith=text.lower())

    def narrow(self, queryset: Any) -> Any:
        return queryset.filter(reason=self.reason) if self.reason else queryset

    @cached_property
    def reason(self) -> str:
        """Return the reason that the address asks for, if there is such."""
        asked = self.request.GET.get("reason", "")
        return asked if asked in SuppressionReason.values else ""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(reasons=SuppressionReason.choices, reason=self.reason, **kwargs)


class Suppress(OwnersPage, FormView):
    """Suppress addresses by hand."""

    form_class = SuppressForm
    template_name = "suppressions/form.html"

    def form_valid(self, form: SuppressForm) -> HttpResponse:
        number = form.save(cast(User, self.request.user))
        said = ngettext("%(count)d address is new on the list.", "%(count)d addresses are new on the list.", number)
        messages.success(self.request, said % {"count": number})
        return HttpResponseRedirect(reverse("suppressions:list"))


class Lift(ActionPage):
    """Let an address be written to again."""

    model = Suppression
    room = "suppressions"

    def get_object(self, queryset: Any = None) -> Suppression:
        found = standing(self.request.user).filter(pk=self.kwargs["pk"]).first()
        if found is None or not access.may_own(self.request.user):
            raise Http404
        return cast(Suppression, found)

    def act(self, obj: Suppression) -> str:
        if not suppressions.lift(Suppression.objects.filter(pk=obj.pk)):
            raise ValidationError(_("This address is not suppressed any more."))
        return _("%(address)s may be written to again.") % {"address": addresses.shown(obj.address)}

    def address_of(self, obj: Any) -> str:
        return back_to(reverse("suppressions:list"), self.request.POST.get("back"))


@login_required
@require_safe
def suppressions_csv(request: HttpRequest) -> StreamingHttpResponse:
    """Stream the list as a table for spreadsheets."""
    zone = timezone.get_current_timezone()
    reasons = {value: str(label) for value, label in SuppressionReason.choices}
    header, yes = [_("address"), _("unsubscribed"), _("reason"), _("since"), _("list")], _("yes")

    def rows() -> Iterator[list[str]]:
        yield header
        for each in standing(request.user).select_related("client_list").order_by("-pk").iterator(2_000):
            since = f"{each.created_at.astimezone(zone):%Y-%m-%d %H:%M:%S}"
            name = each.client_list.name if each.client_list else ""
            # What imports understand, ours and others': of somebody who left one list, nothing of the kind.
            yield [addresses.shown(each.address), "" if name else yes, reasons[each.reason], since, name]

    return csv_table("suppressed", rows())
