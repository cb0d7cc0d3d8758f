"""A small shop. Its databases are in the folder that SITE_FOLDER names."""

import os
from importlib.util import find_spec
from pathlib import Path

FOLDER = Path(os.environ["SITE_FOLDER"])
SECRET_KEY = "only for tests"
ALLOWED_HOSTS = ["127.0.0.1"]
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ROOT_URLCONF = "shop.urls"
INSTALLED_APPS = ["tidemill.integrations.django", "shop"]
if find_spec("django.tasks") is None:
    INSTALLED_APPS.append("django_tasks")
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(FOLDER / "shop.sqlite3"),
        "OPTIONS": {"timeout": 20},
    }
}
TASKS = {
    "default": {
        "BACKEND": "tidemill.integrations.django.TidemillBackend",
        "QUEUES": ["default", "mail"],
        "OPTIONS": {"url": f"sqlite:///{FOLDER / 'tasks.db'}", "max_attempts": 2, "timeout": 30},
    }
}
