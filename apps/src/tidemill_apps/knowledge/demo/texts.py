"""What the demo says, in English and in Chinese."""

from collections.abc import Mapping

import msgspec


class Say(msgspec.Struct, frozen=True):
    """The demo's sentences in one language; braces take values by name."""

    documents: str
    steps: dict[str, str]
    collected: str
    started: str
    line: str
    failed: str
    indexed: str
    refused: str
    asking: str
    answer: str
    found: str
    missed: str
    lost: str
    answered: str
    counts: str
    next: str
    commands: tuple[tuple[str, str], ...]
    keeping: str
    stopped: str
    interrupted: str
    error: str


ENGLISH = Say(
    documents="all documents",
    steps={},
    collected="{n} documents in {folder} ({seconds:.1f} s)",
    started="worker, sweeper and engine run in this process; the engine is {url}",
    line="  {done} of {total} documents",
    failed="  failed: {reason}",
    indexed="indexed {documents} documents ({rate:.0f} a second), {segments} passages,"
    " {embedded} of them new, in {seconds:.1f} s",
    refused="{n} bad documents ended as failed with their reason, and held up nothing",
    asking="Five questions, asked as tasks:",
    answer="  {rank}. {document}  score {score:.4f}",
    found="  ✓ {expected} is number {rank}",
    missed="✗ {expected} is not among the first {k}: the demo has failed",
    lost="✗ these documents should have ended otherwise: {names}: the demo has failed",
    answered="all five answered in {seconds:.1f} s; the whole demo took {total:.1f} s",
    counts="tasks in the engine: {counts}",
    next="Where to look next:",
    commands=(
        ("{tidemill} -A {app} status", "queues and counts"),
        ("{tidemill} -A {app} task ls", "the tasks of this demo"),
        ("{tidemill} -A {app} failed ls", "the two bad documents, with their errors"),
        ('{python} -m {package} search "…"', "a question of your own"),
        ("{tidemill} -A {app} up", "a worker for:  {python} -m {package} index FOLDER"),
        ("docs/guide.md", "how to write such an application"),
    ),
    keeping="The system keeps running. Ctrl-C drains it and ends.",
    stopped="drained: nothing is left running",
    interrupted="interrupted; started again, the demo goes on where it stopped",
    error="error: {text}",
)
CHINESE = Say(
    documents="全部文档",
    steps={
        "parsing": "解析",
        "cleaning": "清理",
        "splitting": "切分",
        "indexing": "索引",
        "verifying": "核对",
    },
    collected="{folder} 中有 {n} 个文档（{seconds:.1f} 秒）",
    started="工作进程、清扫器和引擎都在本进程内运行；引擎是 {url}",
    line="  已完成 {done} / {total} 个文档",
    failed="  失败：{reason}",
    indexed="已索引 {documents} 个文档（每秒 {rate:.0f} 个），{segments} 个段落，"
    "其中 {embedded} 个是新的，用时 {seconds:.1f} 秒",
    refused="{n} 个坏文档以失败结束并写明原因，没有影响其他文档",
    asking="五个问题，以任务的方式提出：",
    answer="  {rank}. {document}  得分 {score:.4f}",
    found="  ✓ {expected} 排在第 {rank} 位",
    missed="✗ {expected} 不在前 {k} 位之内：演示失败",
    lost="✗ 这些文档的结局不符合预期：{names}：演示失败",
    answered="五个问题在 {seconds:.1f} 秒内答完；整个演示用时 {total:.1f} 秒",
    counts="引擎中的任务：{counts}",
    next="接下来可以看：",
    commands=(
        ("{tidemill} -A {app} status", "队列和计数"),
        ("{tidemill} -A {app} task ls", "这次演示的任务"),
        ("{tidemill} -A {app} failed ls", "两个坏文档和它们的错误"),
        ('{python} -m {package} search "…"', "提一个你自己的问题"),
        ("{tidemill} -A {app} up", "启动工作进程，供：  {python} -m {package} index 文件夹"),
        ("docs/zh/guide.md", "怎样写这样的应用"),
    ),
    keeping="系统继续运行。按 Ctrl-C 会先排空再结束。",
    stopped="已排空：没有任务在运行",
    interrupted="已中断；再次启动会从停下的地方继续",
    error="错误：{text}",
)


def texts_for(environment: Mapping[str, str]) -> Say:
    """Return Chinese where `LC_ALL`, `LC_MESSAGES` or `LANG`, in this order, asks for it."""
    asked = (environment.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    return CHINESE if next(filter(None, asked), "").lower().startswith("zh") else ENGLISH
