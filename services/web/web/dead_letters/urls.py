from django.urls import path

from web.dead_letters import views

app_name = "dead-letters"
urlpatterns = [
    path("", views.causes, name="list"),
    path("try-again/", views.TryAgain.as_view(), name="try-again"),
    path("dismiss/", views.Dismiss.as_view(), name="dismiss"),
    path("of/<slug:cause>/", views.letters, name="letters"),
]
