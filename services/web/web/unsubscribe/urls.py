from django.urls import path

from web.unsubscribe import views

app_name = "unsubscribe"
urlpatterns = [path("<str:token>", views.unsubscribe, name="page")]
