from django.urls import include, path

from web.accounts import views

urlpatterns = [
    path("confirm-email/", views.LetterSent.as_view(), name="account_email_verification_sent"),
    path("confirm-email/<key>/", views.ConfirmEmail.as_view(), name="account_confirm_email"),
    path("email/", views.ChangeEmail.as_view(), name="account_email"),
    path("", include("allauth.account.urls")),
]
