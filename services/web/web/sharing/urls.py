from django.urls import path

from web.sharing import views

app_name = "sharing"
urlpatterns = [
    path("<slug:kind>/<int:pk>/", views.Sharing.as_view(), name="detail"),
    path("<slug:kind>/<int:pk>/take-back/", views.TakeBack.as_view(), name="take-back"),
]
