"""The pages' addresses. Public pages carry their language in the address, signed-in ones follow the profile."""

from django.conf.urls.i18n import i18n_patterns
from django.contrib import admin
from django.urls import include, path

from web.blog import search_engines
from web.front import media
from web.home import views as home

urlpatterns = [
    *i18n_patterns(
        path("", home.index, name="home"),
        path("blog/", include("web.blog.urls")),
        path("accounts/", include("web.accounts.urls")),
    ),
    path("sitemap.xml", search_engines.sitemap, name="sitemap"),
    path("robots.txt", search_engines.robots, name="robots"),
    path("media/blog/<slug:picture>/<int:width>.<slug:suffix>", media.serve, name="picture"),
    path("", include("web.overview.urls")),
    path("profile/", include("web.profile.urls")),
    path("clients/", include("web.clients.urls")),
    path("suppressions/", include("web.suppressions.urls")),
    path("lists/", include("web.lists.urls")),
    path("senders/", include("web.senders.urls")),
    path("messages/", include("web.messages.urls")),
    path("mailings/", include("web.mailings.urls")),
    path("runs/", include("web.runs.urls")),
    path("dead-letters/", include("web.dead_letters.urls")),
    path("sharing/", include("web.sharing.urls")),
    path("panel/", include("web.panel.urls")),
    path("admin/", admin.site.urls),
    path("u/", include("web.unsubscribe.urls")),
    path("webhooks/", include("web.webhooks.urls")),
]
