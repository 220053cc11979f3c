from django.urls import path

from web.suppressions import views

app_name = "suppressions"
urlpatterns = [
    path("", views.Suppressions.as_view(), name="list"),
    path("csv/", views.suppressions_csv, name="csv"),
    path("new/", views.Suppress.as_view(), name="new"),
    path("<int:pk>/lift/", views.Lift.as_view(), name="lift"),
]
