"""Tidemill inside web frameworks: `django.tasks`, and FastAPI or Starlette.

Each module needs its framework, and says what to install where that is missing.
"""
