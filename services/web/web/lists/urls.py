from django.urls import path

from web.lists import views

app_name = "lists"
urlpatterns = [
    path("", views.Lists.as_view(), name="list"),
    path("new/", views.NewList.as_view(), name="new"),
    path("<int:pk>/", views.Members.as_view(), name="detail"),
    path("<int:pk>/add/", views.AddMembers.as_view(), name="add"),
    path("<int:pk>/take-off/", views.TakeOff.as_view(), name="take-off"),
    path("<int:pk>/change/", views.ChangeList.as_view(), name="change"),
    path("<int:pk>/delete/", views.DeleteList.as_view(), name="delete"),
]
