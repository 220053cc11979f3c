"""The jobs that died: managers see them, superusers try them again or discard them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.generic import TemplateView

from vestnik import access, dead_jobs, supervision
from vestnik.dead_jobs import DeadJob, QueueAway
from web.pages import PAGE
from web.panel.views import ReasonedAction, Supervisors


class DeadJobs(Supervisors):
    """Where the broker does not answer, the page says so."""

    kwargs: dict[str, Any]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().dispatch(request, *args, **kwargs)
        except QueueAway:
            return render(request, "panel/dead_jobs.html", {"away": True}, status=503)

    def get_object(self, queryset: Any = None) -> DeadJob:
        found = dead_jobs.one(str(self.kwargs["pk"]))
        if found is None:
            raise Http404
        return found

    def address_of(self, obj: DeadJob) -> str:
        return reverse("panel:dead-jobs")


class DeadJobList(DeadJobs, TemplateView):
    """The dead jobs."""

    template_name = "panel/dead_jobs.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        page = Paginator(_Listed(), PAGE).get_page(self.request.GET.get("page"))
        return super().get_context_data(page_obj=page, **kwargs)


class DeadJobPage(DeadJobs, TemplateView):
    """One of them, what it died of, and what can be done with it."""

    template_name = "panel/dead_job.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        may_requeue = access.may_requeue(self.request.user)
        return super().get_context_data(object=self.get_object(), may_requeue=may_requeue, **kwargs)


class DeadJobAction(DeadJobs, ReasonedAction):
    """Do to a dead job what a button says; only for those who may."""

    def get_object(self, queryset: Any = None) -> DeadJob:
        if not access.may_requeue(self.request.user):
            raise PermissionDenied
        return super().get_object(queryset)


class Requeue(DeadJobAction):
    """Try a dead job again."""

    def apply(self, by: Any, address: str, **_reason: str) -> str:
        supervision.requeue(self.object, by, address)
        return _("The job is in the queue again.")


class Discard(DeadJobAction):
    """Discard a dead job."""

    def apply(self, by: Any, address: str, **_reason: str) -> str:
        supervision.discard(self.object, by, address)
        return _("The job is discarded.")


class _Listed(Sequence[DeadJob]):
    """All of them, for a paginator: it asks how many there are, and for a part."""

    def __len__(self) -> int:
        return dead_jobs.count()

    def __getitem__(self, part: Any) -> Any:
        return dead_jobs.listed(part.stop - part.start, part.start)
