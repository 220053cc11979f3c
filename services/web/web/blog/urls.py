from django.urls import path

from web.blog import feed, views

app_name = "blog"
urlpatterns = [
    path("", views.index, name="list"),
    path("feed/", feed.rss, name="feed"),
    path("<slug:slug>/", views.post, name="post"),
]
