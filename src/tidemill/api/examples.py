"""Examples of bodies and answers for the OpenAPI document, by the name of their shape.

A test reads each as its shape.
"""

from collections.abc import Mapping
from typing import Any, Final

_TASK_ID: Final = "0199e0a4-5b7c-7d3e-9f21-4c8e2a6b8d10"
_PAYLOAD: Final = {"topic": "AI技术发展趋势", "style": "专业深度", "length": 2000}

_SUBMIT: Final[dict[str, Any]] = {
    "task_type": "content_generation",
    "queue_name": "processing",
    "priority": 10,
    "payload": _PAYLOAD,
    "max_retries": 3,
    "timeout": 300,
    "user_id": "user-123",
    "project_id": "project-456",
}

_TASK: Final[dict[str, Any]] = {
    "task_id": _TASK_ID,
    "task_type": "content_generation",
    "queue_name": "processing",
    "status": "running",
    "priority": 10,
    "progress": 40.0,
    "progress_message": "section 2 of 5",
    "attempt": 1,
    "retry_count": 0,
    "max_retries": 3,
    "timeout": 300.0,
    "soft_timeout": None,
    "created_at": "2026-02-21T09:00:00Z",
    "run_at": "2026-02-21T09:00:00Z",
    "started_at": "2026-02-21T09:00:00.004Z",
    "completed_at": None,
    "expires_at": None,
    "worker": "mill-1:4711",
    "cancel_requested": False,
    "blocked_on": None,
    "reason": None,
    "error_type": None,
    "error_message": None,
    "error_fingerprint": None,
    "unique_key": None,
    "user_id": "user-123",
    "project_id": "project-456",
    "tags": [],
    "parent_id": None,
    "retried_from": None,
    "payload": _PAYLOAD,
    "result": None,
}

EXAMPLES: Final[Mapping[str, dict[str, Any]]] = {
    "SubmitTask": _SUBMIT,
    "SubmitTasks": {
        "tasks": [
            {"task_type": "content_generation", "payload": {"topic": subject}}
            for subject in ("AI技术", "区块链", "元宇宙")
        ]
    },
    "CancelTask": {"reason": "no longer needed"},
    "RetryTask": {"payload": _PAYLOAD},
    "RetryGroup": {"rate": 50},
    "CreateKey": {
        "name": "mailer",
        "scopes": ["submit", "payloads"],
        "user_id": "ana",
        "expires": 2_592_000,
        "rate": "100/s",
    },
    "CreateSilence": {"seconds": 3600, "rule": "queue_pending", "reason": "a known outage"},
    "CreateWebhook": {
        "url": "https://example.org/hooks/tidemill",
        "name": "billing",
        "events": ["task.completed", "task.failed"],
        "queue_names": ["processing"],
    },
    "ChangeWebhook": {"events": ["task.failed"], "is_active": True},
    "CreateQueue": {"name": "processing", "concurrency": 10, "rate": "100/m", "capacity": 10_000},
    "ChangeQueue": {"concurrency": 20, "rate": None},
    "CreateSchedule": {
        "name": "hourly_report",
        "task_type": "report_generation",
        "cron_expr": "0 * * * *",
        "queue_name": "processing",
        "payload": {"report_type": "hourly"},
    },
    "ChangeSchedule": {"cron_expr": "*/30 * * * *"},
    "TaskRecord": _TASK,
    "SubmittedTasks": {
        "accepted": 1,
        "refused": 1,
        "tasks": [
            {"index": 0, "status": 201, "task_id": _TASK_ID, "error": None},
            {
                "index": 1,
                "status": 422,
                "task_id": None,
                "error": {
                    "type": "unknown-task-type",
                    "title": "No task type of that name is declared.",
                    "status": 422,
                    "detail": "no task type is called 'mail' (declared: content_generation)",
                    "errors": [{"field": "task_type", "message": "no task type is called 'mail'"}],
                },
            },
        ],
    },
    "ProgressRecord": {
        "task_id": _TASK_ID,
        "status": "running",
        "progress": 40.0,
        "message": "section 2 of 5",
        "step": "writing",
        "completed_steps": 2,
        "total_steps": 5,
    },
    "ResultRecord": {
        "task_id": _TASK_ID,
        "status": "completed",
        "completed_at": "2026-02-21T09:01:10Z",
        "result": {"content": "…"},
        "error": None,
        "reason": None,
    },
    "Problem": {
        "type": "payload-invalid",
        "title": "A payload does not fit its task type.",
        "status": 422,
        "detail": "the payload of content_generation is not valid at length: expected int, got str",
        "errors": [{"field": "payload.length", "message": "expected int, got str"}],
    },
}
