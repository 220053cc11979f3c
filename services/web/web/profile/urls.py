from django.urls import path

from web.profile import views

urlpatterns = [
    path("", views.Profile.as_view(), name="profile"),
    path("delete/", views.DeleteAccount.as_view(), name="profile-delete"),
]
