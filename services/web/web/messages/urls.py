from django.urls import path

from web.messages import views

app_name = "messages"
urlpatterns = [
    path("", views.MessageList.as_view(), name="list"),
    path("new/", views.NewMessage.as_view(), name="new"),
    path("preview/", views.preview, name="preview"),
    path("<int:pk>/", views.MessagePage.as_view(), name="detail"),
    path("<int:pk>/letter/", views.MessageLetter.as_view(), name="letter"),
    path("<int:pk>/change/", views.ChangeMessage.as_view(), name="change"),
    path("<int:pk>/delete/", views.DeleteMessage.as_view(), name="delete"),
]
