from django.urls import path

from web.overview import views

urlpatterns = [
    path("overview/", views.overview, name="overview"),
    path("overview/under-way/", views.under_way, name="overview-under-way"),
    path("overview/report.csv", views.report_csv, name="overview-csv"),
]
