"""allauth's pages that do more here."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.internal.stagekit import unstash_login
from allauth.account.models import EmailAddress
from allauth.account.utils import perform_login
from allauth.account.views import ConfirmEmailView, EmailView
from allauth.core import ratelimit
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse_lazy
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.generic import FormView

from vestnik.accounts.models import User
from web.accounts.adapter import AccountAdapter
from web.accounts.email_sync import align
from web.accounts.forms import ReauthenticateForm, ResendForm


class LetterSent(FormView):
    """“Look into your mailbox”, and the same letter once more. The page is the same for every address."""

    form_class = ResendForm
    template_name = "account/verification_sent.html"
    success_url = reverse_lazy("account_email_verification_sent")

    def get_initial(self) -> dict[str, Any]:
        login = unstash_login(self.request, peek=True)
        if login is None:
            return {}
        user: Any = login.user
        return {"email": user.email if user else login.email}

    def form_valid(self, form: ResendForm) -> HttpResponse:
        email = form.cleaned_data["email"]
        if ratelimit.consume(self.request, action="resend", key=email):
            self.send(email)
            messages.success(self.request, _("A letter is on its way to %(email)s.") % {"email": email})
        else:
            messages.warning(self.request, _("A letter went there a moment ago. Please wait a little."))
        return super().form_valid(form)

    def send(self, email: str) -> None:
        """Write to whoever has the mailbox what there is to say: there is a letter for every case."""
        adapter: AccountAdapter = get_adapter()
        user = User.objects.filter(email=email, is_active=True).first()
        if user is None:
            if not adapter.send_blocked_mail(email):
                adapter.send_unknown_account_mail(email)
        elif user.is_confirmed:
            adapter.send_account_already_exists_mail(email)
        else:
            align(user)
            EmailAddress.objects.get(user=user, primary=True).send_confirmation(self.request, signup=True)


@method_decorator(sensitive_post_parameters("password"), name="dispatch")
class ConfirmEmail(ConfirmEmailView):
    """Confirms an address for who has the letter and also the account: its session, or else its password.

    The letter alone is not enough. A stranger may have signed up with the address: its owner's click would open an
    account to which the stranger has the password.
    """

    @property
    def user(self) -> Any:
        """Whose address the link confirms."""
        return self.object.email_address.user

    def post(self, *args: Any, **kwargs: Any) -> HttpResponse:
        self.object = self.get_object()
        if self.request.user == self.user:
            return super().post(*args, **kwargs)
        form = ReauthenticateForm(self.request.POST, user=self.user)
        if not form.is_valid():
            return self.render_to_response(self.get_context_data(form=form))
        if not self.object.confirm(self.request):
            return self.respond(False)
        response = perform_login(self.request, User.objects.get(pk=self.user.pk))  # as stored, for the session's hash
        self.request.session.set_expiry(0)  # nobody has asked to stay signed in
        return response

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        if self.object and self.request.user != self.user:
            kwargs.setdefault("form", ReauthenticateForm(user=self.user))
        return super().get_context_data(**kwargs)


class ChangeEmail(EmailView):
    """Change one's address, once the one before is confirmed."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.user.is_authenticated:
            if not request.user.is_confirmed:
                raise PermissionDenied
            align(request.user)
        return super().dispatch(request, *args, **kwargs)
