"""The publishing platform's tasks, as far as its guide shows them, with work that takes no time."""

import msgspec

from tidemill import Context, Permanent, RetryPolicy, Tidemill, quadratic


class Content(msgspec.Struct):
    """What the guide's handler saves as the result."""

    content: str


class Failing:
    """What goes wrong, and how often it still does."""

    def __init__(self) -> None:
        self.times = 0


def publishing(failing: Failing) -> Tidemill:
    """A new application whose content generation fails as often as it is told."""
    app = Tidemill(
        "memory://",
        routes={"content_*": "processing", "report_*": "processing", "hotspot_*": "notification"},
    )

    @app.task(name="content_generation", retry=RetryPolicy(backoff=quadratic()))
    async def content_generation(
        ctx: Context, topic: str, style: str = "", length: int = 0
    ) -> Content:
        if failing.times:
            failing.times -= 1
            raise ConnectionError("the model does not answer")
        if not topic:
            raise Permanent("no topic")
        ctx.progress(50, "正在生成内容...")
        return Content(f"{topic} ({style}, {length})")

    @app.task(name="video_processing", steps={"下载": 1, "转码": 1, "上传": 1, "通知": 1})
    async def video_processing(ctx: Context) -> int:
        for done, step in enumerate(("下载", "转码", "上传", "通知")):
            ctx.step(step, done, 4, f"正在{step}...")
        return 4

    @app.task(name="report_generation")
    async def report_generation(report_type: str) -> str:
        return report_type

    @app.task(name="hotspot_monitor")
    async def hotspot_monitor() -> None:
        return None

    return app
