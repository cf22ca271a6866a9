"""Users who log in with their e-mail address."""

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models


class Customers(BaseUserManager):
    """Makes users."""

    def create_user(self, email, password=None, **fields):
        customer = self.model(email=self.normalize_email(email), **fields)
        customer.set_password(password)
        customer.save(using=self._db)
        return customer

    def create_superuser(self, email, password=None, **fields):
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)


class Customer(AbstractBaseUser, PermissionsMixin):
    """A user who logs in with an e-mail address, which is also the user's name."""

    email = models.EmailField(unique=True, max_length=254)
    is_staff = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)

    USERNAME_FIELD = "email"
    objects = Customers()
