"""The pages' addresses."""

from django.contrib import admin
from django.urls import path

from web.home import views as home

urlpatterns = [
    path("", home.index, name="home"),
    path("admin/", admin.site.urls),
]
