"""A second admin site, for operators of the shop's machines."""

from cronzimus.admin import register
from django.contrib.admin import AdminSite


class BackOffice(AdminSite):
    """The second site."""

    site_header = "Backoffice"


backoffice = BackOffice(name="backoffice")
register(backoffice)
