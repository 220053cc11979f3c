from django.urls import path

from web.runs import views

app_name = "runs"
urlpatterns = [
    path("<int:pk>/", views.detail, name="detail"),
    path("<int:pk>/live/", views.live, name="live"),
    path("<int:pk>/letter/", views.letter, name="letter"),
    path("<int:pk>/try-again/", views.TryAgain.as_view(), name="try-again"),
    path("<int:pk>/refused/", views.BelieveRefusals.as_view(), name="refused"),
    path("<int:pk>/letters/", views.letters, name="letters"),
    path("<int:pk>/letters.csv", views.letters_csv, name="csv"),
    path("<int:pk>/letters/<int:delivery_pk>/", views.delivery, name="delivery"),
    path("<int:pk>/letters/<int:delivery_pk>/letter/", views.delivery_letter, name="delivery-letter"),
]
