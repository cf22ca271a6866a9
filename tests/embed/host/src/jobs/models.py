"""Vacancies."""

from django.db import models


class Job(models.Model):
    """A vacancy."""

    title = models.CharField(max_length=100)

    def __str__(self):
        return self.title
