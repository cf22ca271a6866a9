"""The shop's addresses."""

from django.contrib import admin
from django.urls import include, path

from .api import Prices
from .backoffice import backoffice

urlpatterns = [
    path("api/prices", Prices.as_view()),
    path("ops/", include("cronzimus.urls")),
    path("admin/", admin.site.urls),
    path("backoffice/", backoffice.urls),
]
