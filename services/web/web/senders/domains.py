"""The domains that letters come from: their records, what the DNS says of them, and who signs."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe
from django.views.generic import View

from vestnik import addresses
from vestnik.senders import keys, verbs
from vestnik.senders.models import DkimKey, Domain
from web.pages import ActionPage, CreatePage, DeletePage, DetailPage, SignedIn, TablePage, Visible, asked_by
from web.senders import findings
from web.senders.forms import DomainForm, InstallationsDomainForm


class NewDomain(CreatePage):
    """Add a domain."""

    form_class = DomainForm
    template_name = "senders/new_domain.html"

    def get_success_url(self) -> str:
        return reverse("senders:domain", args=[self.object.pk])

    def success(self, obj: Domain) -> str:
        return _("The domain is there. Set the records below, so that letters may come from it.")


class Administrators(SignedIn, View):
    """For administrators: for everybody else there is no such page. Who is signed out may be one."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if request.user.is_authenticated and not request.user.is_superuser:
            raise Http404
        return super().dispatch(request, *args, **kwargs)


class NewInstallationsDomain(Administrators, NewDomain):
    """Add a domain of the whole installation, as administrators do."""

    form_class = InstallationsDomainForm

    def get_initial(self) -> dict[str, Any]:
        return {"domain": addresses.shown_domain(addresses.domain(settings.MAIL_FROM))}

    def success(self, obj: Domain) -> str:
        return _("The domain is there.")


class AllDomains(Administrators, TablePage):
    """Everybody's domains, for administrators."""

    model = Domain
    template_name = "senders/all_domains.html"
    table_template = "senders/_all_domains.html"
    sorts = {"name": ("name", "pk"), "-added": ("-pk",)}

    def search(self, queryset: Any, text: str) -> Any:
        found = Q()
        for form in addresses.sought(text):
            found |= Q(name__contains=form) | Q(owner__email__contains=form)
        return queryset.filter(found)

    def narrow(self, queryset: Any) -> Any:
        return queryset.select_related("owner")


class DomainPage(DetailPage):
    """A domain with the records to set, and what the DNS says of each."""

    model = Domain
    template_name = "senders/domain.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        domain: Domain = self.object
        signing = list(DkimKey.objects.filter(domain=domain).order_by("version", "-algorithm"))
        return super().get_context_data(
            findings=findings.shown(domain),
            signs=any(key.seen_at and not key.lost_at and not key.retired_at for key in signing),
            has_keys=bool(signing),
            waits=any(key.seen_at is None and not key.retired_at for key in signing),
            old=[key for key in signing if key.retired_at],
            records_stay=keys.RECORDS_STAY.days,
            mail_from=settings.MAIL_FROM,
            is_own=domain.owner_id in (None, self.request.user.pk),
            **kwargs,
        )


@login_required
@require_safe
def state(request: HttpRequest, pk: int) -> HttpResponse:
    """Have the page loaded again (htmx) as soon as the DNS was asked."""
    user: Any = request.user
    domain = get_object_or_404(Domain.objects.visible_to(user), pk=pk)
    response = HttpResponse(status=204)
    if domain.is_checked:
        response["HX-Refresh"] = "true"
    return response


class Own(Visible):
    """Of the domains that one sees those that are one's own, be it as an administrator the installation's."""

    def get_object(self, queryset: Any = None) -> Any:
        domain = super().get_object(queryset)
        user: Any = self.request.user
        if domain.owner_id != (None if domain.owner_id is None and user.is_superuser else user.pk):
            raise Http404
        return domain


class DomainAction(ActionPage):
    """Does something to a domain."""

    model = Domain

    def address_of(self, obj: Domain) -> str:
        return reverse("senders:domain", args=[obj.pk])


class Check(DomainAction):
    """Have the DNS asked now."""

    def act(self, obj: Domain) -> str:
        verbs.check(obj)
        return _("The DNS is being asked.")


class Sign(Own, DomainAction):
    """Make keys that sign letters from the domain, or new ones."""

    def act(self, obj: Domain) -> str:
        keys.make(obj)
        return _("There are two new keys. Set their records: they sign as soon as the DNS has them.")


class StopSigning(Own, DomainAction):
    """Sign no letters any more."""

    def act(self, obj: Domain) -> str:
        keys.stop(obj)
        return _("Vestnik does not sign letters from this domain any more. You can remove the records of its keys.")


class TryAgain(DomainAction):
    """Let letters come from the domain again that the mail service refused."""

    def act(self, obj: Domain) -> str:
        verbs.try_again(obj)
        return _("Letters come from this domain again; we see what the mail service says of them.")


class Allow(Administrators, DomainAction):
    """Let letters come from the domain without a proof."""

    def act(self, obj: Domain) -> str:
        verbs.allow(obj, *asked_by(self.request))
        return _("Letters may come from this domain.")


class Disallow(Administrators, DomainAction):
    """Take that back."""

    def act(self, obj: Domain) -> str:
        verbs.disallow(obj, *asked_by(self.request))
        return _("Letters come from this domain only if its owner has proven it.")


class DeleteDomain(Own, DeletePage):
    """Delete a domain."""

    model = Domain
    room = "senders"

    def address_of(self, obj: Domain) -> str:
        return reverse("senders:domain", args=[obj.pk])

    @property
    def what_goes(self) -> str:
        return _("Letters of its senders come from the installation's address then, and its keys are gone.")

    def delete_by_verb(self, obj: Domain) -> str:
        verbs.delete_domain(obj)
        return _("The domain is deleted.")
