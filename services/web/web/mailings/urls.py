from django.urls import path

from web.mailings import views

app_name = "mailings"
urlpatterns = [
    path("", views.MailingList.as_view(), name="list"),
    path("new/", views.NewMailing.as_view(), name="new"),
    path("plan/", views.plan, name="plan"),
    path("<int:pk>/", views.MailingPage.as_view(), name="detail"),
    path("<int:pk>/letter/", views.MailingLetter.as_view(), name="letter"),
    path("<int:pk>/change/", views.ChangeMailing.as_view(), name="change"),
    path("<int:pk>/delete/", views.DeleteMailing.as_view(), name="delete"),
    path("<int:pk>/pause/", views.Pause.as_view(), name="pause"),
    path("<int:pk>/resume/", views.Resume.as_view(), name="resume"),
    path("<int:pk>/cancel/", views.Cancel.as_view(), name="cancel"),
    path("<int:pk>/send-now/", views.SendNow.as_view(), name="send-now"),
]
