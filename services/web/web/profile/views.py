"""One's own account: what one says about oneself, and its end."""

from __future__ import annotations

from typing import Any

from allauth.decorators import rate_limit
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.messages.views import SuccessMessageMixin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import reverse, reverse_lazy
from django.utils import translation
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.generic import FormView, UpdateView

from vestnik.accounts.models import User
from vestnik.clients.models import Client, ClientList
from vestnik.mailings.models import Mailing, Message, Run
from web.accounts.ending import end_account
from web.accounts.forms import ReauthenticateForm
from web.profile.forms import ProfileForm


class Profile(LoginRequiredMixin, SuccessMessageMixin, UpdateView):
    form_class = ProfileForm
    template_name = "profile/profile.html"
    context_object_name = "profile"  # not Django's choice, `user`: that is who looks, as stored
    success_url = reverse_lazy("profile")

    def get_object(self, queryset: QuerySet | None = None) -> User:
        """Return a copy, not `request.user` itself, whose name stands above the page whatever is typed."""
        user: Any = self.request.user
        return User.objects.get(pk=user.pk)

    def get_success_message(self, cleaned_data: dict[str, Any]) -> str:
        with translation.override(cleaned_data["language"]):
            return _("The profile is saved.")


@method_decorator([login_required, rate_limit(action="reauthenticate")], name="dispatch")
class DeleteAccount(FormView):
    """Says what goes, asks for the password, and ends the account and all its sessions."""

    form_class = ReauthenticateForm
    template_name = "profile/delete.html"

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "user": self.request.user}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        user: Any = self.request.user
        owned = {
            f"{model._meta.model_name}_count": model._default_manager.filter(owner=user).count()
            for model in (Client, ClientList, Message, Mailing)
        }
        open_runs = Run.objects.filter(owner_id=user.pk, state=Run.State.OPEN).count()
        return super().get_context_data(**owned, open_runs=open_runs, **kwargs)

    def form_valid(self, form: ReauthenticateForm) -> HttpResponse:
        user: Any = self.request.user
        try:
            end_account(user)
        except ValidationError as refusal:
            form.add_error(None, refusal)
            return self.form_invalid(form)
        logout(self.request)
        messages.success(self.request, _("Your account is deleted. What it held is being erased."))
        return HttpResponseRedirect(reverse("home"))
