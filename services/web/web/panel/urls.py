from django.urls import path

from web.panel import dead_jobs, dead_letters, views

app_name = "panel"
urlpatterns = [
    path("", views.MailingList.as_view(), name="mailings"),
    path("mailings/<int:pk>/", views.MailingPage.as_view(), name="mailing"),
    path("mailings/<int:pk>/letter/", views.MailingLetter.as_view(), name="letter"),
    path("mailings/<int:pk>/switch-off/", views.SwitchOff.as_view(), name="switch-off"),
    path("mailings/<int:pk>/switch-on/", views.SwitchOn.as_view(), name="switch-on"),
    path("users/", views.UserList.as_view(), name="users"),
    path("users/<int:pk>/", views.UserPage.as_view(), name="user"),
    path("users/<int:pk>/block/", views.Block.as_view(), name="block"),
    path("users/<int:pk>/unblock/", views.Unblock.as_view(), name="unblock"),
    path("dead-jobs/", dead_jobs.DeadJobList.as_view(), name="dead-jobs"),
    path("dead-jobs/<uuid:pk>/", dead_jobs.DeadJobPage.as_view(), name="dead-job"),
    path("dead-jobs/<uuid:pk>/requeue/", dead_jobs.Requeue.as_view(), name="requeue"),
    path("dead-jobs/<uuid:pk>/discard/", dead_jobs.Discard.as_view(), name="discard"),
    path("dead-letters/", dead_letters.Causes.as_view(), name="dead-letters"),
    path("dead-letters/<slug:cause>/", dead_letters.Letters.as_view(), name="dead-letters-of-cause"),
    path("audit/", views.AuditList.as_view(), name="audit"),
]
