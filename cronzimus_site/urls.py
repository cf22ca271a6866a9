"""The addresses: the API, and the admin."""

from django.contrib import admin
from django.urls import include, path, re_path
from django.views.generic import RedirectView

from jobs.api.views.base import NotFoundView

from . import errors
from .admin import arrange

admin.autodiscover()
arrange(admin.site)
to_admin = RedirectView.as_view(pattern_name="admin:index")

handler400, handler403 = errors.bad_request, errors.forbidden
handler404, handler500 = errors.not_found, errors.failed
urlpatterns = [
    path("", to_admin),
    path("admin", to_admin),
    path("", include("jobs.urls")),
    re_path(r"^api(/|\Z)", NotFoundView.as_view()),  # JSON: all of /api is ours here
    path("admin/", admin.site.urls),
]
