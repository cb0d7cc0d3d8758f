"""The installed app: it brings `manage.py tidemill`."""

from django.apps import AppConfig


class TidemillConfig(AppConfig):
    """Named so that it does not stand in the way of an app called django."""

    name = "tidemill.integrations.django"
    label = "tidemill"
    verbose_name = "Tidemill"
