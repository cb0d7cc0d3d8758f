"""What an alert says to people, in English and Chinese."""

from collections.abc import Mapping
from typing import Final

from tidemill.alert import AlertLevel, Notice
from tidemill.alerts.notices import FailuresNotice

_LEVELS: Final[Mapping[AlertLevel, tuple[str, str]]] = {
    AlertLevel.FINE: ("over", "恢复"),
    AlertLevel.WARNING: ("warning", "警告"),
    AlertLevel.ALARM: ("alarm", "告警"),
}

_RULES: Final[Mapping[str, tuple[str, str]]] = {
    "task_running": ("a {subject} task has run for {value} s", "{subject} 任务已运行 {value} 秒"),
    "queue_pending": (
        "{value} tasks are ready and wait in the queue {subject}",
        "队列 {subject} 有 {value} 个任务在等待",
    ),
    "failure_percentage": (
        "{value} % of the tasks in the queue {subject} fail",
        "队列 {subject} 的任务失败率为 {value} %",
    ),
    "cpu": ("the CPU of {subject} is at {value} %", "{subject} 的 CPU 使用率为 {value} %"),
    "memory": ("the memory of {subject} is at {value} %", "{subject} 的内存使用率为 {value} %"),
    "queue_unserved": (
        "no worker takes the {value} ready tasks of the queue {subject}",
        "队列 {subject} 的 {value} 个待处理任务没有工作进程",
    ),
    "failed_tasks": (
        "{value} failed tasks are in the queue {subject}",
        "队列 {subject} 有 {value} 个失败的任务",
    ),
    "schedule_late": (
        "the schedule {subject} is {value} s later than a minute",
        "定时任务 {subject} 已逾期超过一分钟（再加 {value} 秒）",
    ),
    "no_worker": ("no worker is alive", "没有存活的工作进程"),
    "worker_lost": (
        "the worker {subject} is not heard of any more",
        "工作进程 {subject} 已失去联系",
    ),
}


def title(notice: Notice) -> str:
    """One line, in both languages."""
    english, chinese = _RULES[notice.rule]
    level = _LEVELS[notice.level]
    values = {"subject": notice.subject or "-", "value": _number(notice.value)}
    if notice.level is AlertLevel.FINE:
        name = f"{notice.rule} {notice.subject}".strip()
        return f"{level[0]}: {name} ({level[1]})"
    return f"{level[0]}: {english.format_map(values)} ({level[1]}：{chinese.format_map(values)})"


def body(notice: Notice) -> str:
    """Some lines, in both languages."""
    lines = [
        title(notice),
        "",
        f"rule / 规则: {notice.rule}",
        f"subject / 对象: {notice.subject or '-'}",
        f"value / 数值: {_number(notice.value)}",
        f"threshold / 阈值: {'-' if notice.threshold is None else _number(notice.threshold)}",
        f"at / 时间: {notice.at.isoformat()}",
    ]
    return "\n".join(lines) + "\n"


def failures_title(notice: FailuresNotice) -> str:
    """One line, in both languages."""
    tasks = "task" if notice.count == 1 else "tasks"
    return (
        f"{notice.count:,} {notice.task_type} {tasks} failed "
        f"({notice.count:,} 个 {notice.task_type} 任务失败)"
    )


def failures_body(notice: FailuresNotice) -> str:
    """Some lines, in both languages: which tasks, and with which kinds of errors."""
    lines = [
        failures_title(notice),
        "",
        f"queue / 队列: {notice.queue}",
        f"errors / 错误: {', '.join(notice.errors) or '-'}",
        f"last tasks / 最近的任务: {', '.join(notice.last) or '-'}",
        f"at / 时间: {notice.at.isoformat()}",
    ]
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 100 else f"{value:.1f}"
