from django.db import models


class Order(models.Model):
    name = models.CharField(max_length=200)
    confirmed = models.BooleanField(default=False)

    def __str__(self) -> str:
        return str(self.name)


class Told(models.Model):
    """What Django's signals told in a worker."""

    signal = models.CharField(max_length=20)
    task = models.CharField(max_length=40)
    status = models.CharField(max_length=20)

    def __str__(self) -> str:
        return f"{self.signal} {self.task}"
