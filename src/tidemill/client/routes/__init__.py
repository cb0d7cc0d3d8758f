"""Every route of the HTTP interface, described once for both clients.

Times are aware datetimes, durations seconds. What is left out is not sent.

tasks, queues, schedules, failed, workflows, fleet, webhooks, alerts, access: the routes
forms: the forms that requests have
"""
