from django.contrib.admin import apps


class VestnikAdminConfig(apps.AdminConfig):
    default_site = "web.admin_site.VestnikAdminSite"
