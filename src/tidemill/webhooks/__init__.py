"""Webhooks: what happens to tasks, told to other servers by signed requests.

signing    signatures of Standard Webhooks 1.0, made and checked: pure
matching   which webhooks are told of a transition, and what: pure
relay      reads the engine's feed and enqueues a delivery for each that is to be told
delivery   the task type that sends one signed request

`app.webhooks` makes and changes them. A receiver written in Python checks what it gets by `verify`.
"""

from tidemill.app.webhook import EVENTS, Webhook
from tidemill.app.webhooks import WebhookCreated, WebhookInfo, WebhookOptions, Webhooks
from tidemill.webhooks.delivery import Delivery
from tidemill.webhooks.relay import Relay
from tidemill.webhooks.signing import sign, verify

__all__ = [
    "EVENTS",
    "Delivery",
    "Relay",
    "Webhook",
    "WebhookCreated",
    "WebhookInfo",
    "WebhookOptions",
    "Webhooks",
    "sign",
    "verify",
]
