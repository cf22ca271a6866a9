"""The addresses: the API, and the admin."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from .admin import arrange

admin.autodiscover()
arrange(admin.site)
to_admin = RedirectView.as_view(pattern_name="admin:index")

urlpatterns = [
    path("", to_admin),
    path("admin", to_admin),
    path("", include("jobs.urls")),
    path("admin/", admin.site.urls),
]
