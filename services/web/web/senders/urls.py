from django.urls import path

from web.senders import domains, views

app_name = "senders"
urlpatterns = [
    path("", views.senders, name="list"),
    path("new/", views.NewSender.as_view(), name="new"),
    path("<int:pk>/change/", views.ChangeSender.as_view(), name="change"),
    path("<int:pk>/ask-again/", views.AskAgain.as_view(), name="ask-again"),
    path("<int:pk>/delete/", views.DeleteSender.as_view(), name="delete"),
    path("confirm/<str:token>/", views.confirm, name="confirm"),
    path("domains/", domains.AllDomains.as_view(), name="all-domains"),
    path("domains/new/", domains.NewDomain.as_view(), name="new-domain"),
    path("domains/installation/", domains.NewInstallationsDomain.as_view(), name="new-installations-domain"),
    path("domains/<int:pk>/", domains.DomainPage.as_view(), name="domain"),
    path("domains/<int:pk>/state/", domains.state, name="state"),
    path("domains/<int:pk>/check/", domains.Check.as_view(), name="check"),
    path("domains/<int:pk>/sign/", domains.Sign.as_view(), name="sign"),
    path("domains/<int:pk>/stop-signing/", domains.StopSigning.as_view(), name="stop-signing"),
    path("domains/<int:pk>/try-again/", domains.TryAgain.as_view(), name="try-again"),
    path("domains/<int:pk>/allow/", domains.Allow.as_view(), name="allow"),
    path("domains/<int:pk>/disallow/", domains.Disallow.as_view(), name="disallow"),
    path("domains/<int:pk>/delete/", domains.DeleteDomain.as_view(), name="delete-domain"),
]
