from django.urls import path

from web.clients import imports, views

app_name = "clients"
urlpatterns = [
    path("", views.Clients.as_view(), name="list"),
    path("export.csv", views.ExportClients.as_view(), name="export"),
    path("new/", views.NewClient.as_view(), name="new"),
    path("put-on-list/", views.PutOnList.as_view(), name="put-on-list"),
    path("delete/", views.DeleteClients.as_view(), name="delete-many"),
    path("import/", imports.NewImport.as_view(), name="import"),
    path("imports/", imports.Imports.as_view(), name="imports"),
    path("imports/<int:pk>/", imports.ImportPage.as_view(), name="import-detail"),
    path("imports/<int:pk>/begin/", imports.BeginImport.as_view(), name="import-begin"),
    path("imports/<int:pk>/forget/", imports.DropFile.as_view(), name="import-forget"),
    path("imports/<int:pk>/refused.csv", imports.RefusedRows.as_view(), name="refused"),
    path("<int:pk>/", views.ClientPage.as_view(), name="detail"),
    path("<int:pk>/change/", views.ChangeClient.as_view(), name="change"),
    path("<int:pk>/delete/", views.DeleteClient.as_view(), name="delete"),
]
