"""What the demo says, in English and in Chinese."""

from collections.abc import Mapping

import msgspec


class Say(msgspec.Struct, frozen=True, kw_only=True):
    """The demo's sentences in one language; braces take values by name.

    `doing` says what an analysis does after it has told of a step. `rules` are reasons of the spam
    filter by their names; the others speak for themselves.
    """

    serving: str
    imported: str
    started: str
    syncing: str
    analyses: str
    analyzed: str
    states: Mapping[str, str]
    doing: Mapping[str, str]
    stuck: str
    understood: str
    mails: str
    mail_columns: tuple[str, ...]
    values: Mapping[str, str]
    more: str
    spam: str
    rules: Mapping[str, str]
    spam_columns: tuple[str, ...]
    contacts: str
    contact_columns: tuple[str, ...]
    context: str
    context_columns: tuple[str, ...]
    malformed: str
    asking: str
    answer: str
    found: str
    again: str
    locked_out: str
    refused: str
    counts: str
    took: str
    next: str
    commands: tuple[tuple[str, str], ...]
    failed: str
    expected: str
    facts: Mapping[str, str]
    interrupted: str
    error: str


ENGLISH = Say(
    serving="an IMAP server with {n} mails listens on port {port}, a process of its own",
    imported="pymap, the IMAP server for development, is not installed here: the {n} mails are"
    " imported from {folder} instead",
    started="worker, scheduler, sweeper and engine run in this process; the engine is {url}",
    syncing="email:sync",
    analyses="email:analyze",
    analyzed="{done} of {total} mails analysed: {states}",
    states={},
    doing={
        "load": "spam filter",
        "spam": "understanding",
        "analysis": "saving",
        "save": "contacts",
        "contact": "contexts",
        "contexts": "indexing",
    },
    stuck="after {s} s the mails are not all understood: {states}",
    understood="{new} mails stored and {analyzed} analysed in {seconds:.1f} s ({rate:.0f} a"
    " second); {found} of them are found by search",
    mails="What came in, the most urgent first (summaries are sentences of the mail):",
    mail_columns=("subject", "category", "urgency", "mood", "summary"),
    values={},
    more="  … and {n} more",
    spam="Spam, and why:",
    rules={"learnt": "like spam that was seen before"},
    spam_columns=("subject", "sure", "why"),
    contacts="Who writes most:",
    contact_columns=("name", "address", "mails", "mood -1..1"),
    context="“{name}”, a context: {n} mails with the words {words}, or from {people}",
    context_columns=("subject", "from"),
    malformed="  badly made, and kept all the same: “{subject}” ({problem})",
    asking="Three questions, asked as tasks:",
    answer="  {rank}. {subject}",
    found="  ✓ “{expected}” is number {rank}",
    again="the same once more: {new} new mails",
    locked_out="A mailbox whose password is wrong:",
    refused="  email:sync ended as {state} after {attempts} attempt: {reason}\n"
    "  the account is {account}: nothing asks that server again until it gets a new password",
    counts="tasks in the engine: {counts}",
    took="the whole demo took {seconds:.1f} s",
    next="Where to look next (everything is in {folder}):",
    commands=(
        ("{mailroom} mails", "what is known of each mail"),
        ('{mailroom} search "…"', "a question of your own"),
        ("{mailroom} import FILE.mbox", "mail of your own"),
        ("{tidemill} -A {app} status", "queues and counts"),
        ("{tidemill} -A {app} failed ls", "the sync that was refused"),
        ("{tidemill} -A {app} up", "a worker and the scheduler, for what you import or sync"),
        ("docs/guide.md", "how to write such an application"),
    ),
    failed="✗ the demo has failed:",
    expected="  {what}: {found}, where it should be {wanted}",
    facts={
        "new": "mails stored",
        "analysed": "mails analysed",
        "findable": "mails that search finds",
        "degraded": "degraded analyses",
        "spam": "spam",
        "malformed": "malformed mails",
        "contacts": "mails of all contacts",
        "context": "mails of the context",
        "answer": "the right mail among the answers",
        "again": "mails stored the second time",
        "refused": "the sync with the wrong password",
    },
    interrupted="interrupted",
    error="error: {text}",
)
CHINESE = Say(
    serving="一台装有 {n} 封邮件的 IMAP 服务器在端口 {port} 上监听，它是独立的进程",
    imported="这里没有安装开发用的 IMAP 服务器 pymap：改为从 {folder} 导入 {n} 封邮件",
    started="工作进程、调度器、清扫器和引擎都在本进程内运行；引擎是 {url}",
    syncing="email:sync",
    analyses="email:analyze",
    analyzed="已分析 {done} / {total} 封邮件：{states}",
    states={
        "scheduled": "已排期",
        "blocked": "阻塞",
        "pending": "等待",
        "running": "运行",
        "completed": "完成",
        "failed": "失败",
        "cancelled": "已取消",
    },
    doing={
        "load": "垃圾过滤",
        "spam": "理解内容",
        "analysis": "保存",
        "save": "联系人",
        "contact": "情境",
        "contexts": "索引",
    },
    stuck="{s} 秒之后邮件还没有全部处理完：{states}",
    understood="存入 {new} 封、分析 {analyzed} 封邮件，用时 {seconds:.1f} 秒"
    "（每秒 {rate:.0f} 封）；其中 {found} 封可以搜索到",
    mails="收到的邮件，最紧急的在前（摘要取自邮件原句）：",
    mail_columns=("主题", "类别", "紧急", "情绪", "摘要"),
    values={
        "work": "工作",
        "newsletter": "订阅",
        "notification": "通知",
        "personal": "个人",
        "spam": "垃圾",
        "high": "高",
        "medium": "中",
        "low": "低",
        "positive": "积极",
        "neutral": "中性",
        "negative": "消极",
    },
    more="  …… 还有 {n} 封",
    spam="垃圾邮件及理由：",
    rules={
        "learnt": "与已知的垃圾邮件相似",
        "subject": "主题含有可疑词语",
        "body": "正文含有可疑词语",
        "too short": "除链接和图片外几乎没有文字",
        "page only": "只有 HTML",
        "form": "含有表单",
        "hidden text": "含有隐藏文字",
        "bare address": "链接指向数字地址",
        "misleading link": "链接有误导性",
        "shouting": "主题大声叫喊",
        "sender": "发件人或 Message-ID 可疑",
        "reputation": "发件人以前发过垃圾邮件",
    },
    spam_columns=("主题", "概率", "理由"),
    contacts="来信最多的人：",
    contact_columns=("姓名", "地址", "邮件", "情绪 -1..1"),
    context="情境“{name}”：{n} 封邮件，含有 {words}，或来自 {people}",
    context_columns=("主题", "发件人"),
    malformed="  格式有误，仍然保留：“{subject}”（{problem}）",
    asking="三个问题，以任务的方式提出：",
    answer="  {rank}. {subject}",
    found="  ✓ “{expected}” 排在第 {rank} 位",
    again="再来一次：新邮件 {new} 封",
    locked_out="一个密码错误的邮箱：",
    refused="  email:sync 以 {state} 结束，尝试 {attempts} 次：{reason}\n"
    "  账户状态为 {account}：得到新密码之前，不会再询问那台服务器",
    counts="引擎中的任务：{counts}",
    took="整个演示用时 {seconds:.1f} 秒",
    next="接下来可以看（全部内容在 {folder}）：",
    commands=(
        ("{mailroom} mails", "每封邮件的分析结果"),
        ('{mailroom} search "…"', "提一个你自己的问题"),
        ("{mailroom} import FILE.mbox", "导入你自己的邮件"),
        ("{tidemill} -A {app} status", "队列和计数"),
        ("{tidemill} -A {app} failed ls", "被拒绝的同步"),
        ("{tidemill} -A {app} up", "启动工作进程和调度器，处理你导入或同步的邮件"),
        ("docs/zh/guide.md", "怎样写这样的应用"),
    ),
    failed="✗ 演示失败：",
    expected="  {what}：{found}，应为 {wanted}",
    facts={
        "new": "存入的邮件",
        "analysed": "分析过的邮件",
        "findable": "可以搜索到的邮件",
        "degraded": "降级的分析",
        "spam": "垃圾邮件",
        "malformed": "格式有误的邮件",
        "contacts": "所有联系人的邮件",
        "context": "情境中的邮件",
        "answer": "答案中有正确的邮件",
        "again": "第二次存入的邮件",
        "refused": "密码错误的同步",
    },
    interrupted="已中断",
    error="错误：{text}",
)


def texts_for(environment: Mapping[str, str]) -> Say:
    """Return Chinese where `LC_ALL`, `LC_MESSAGES` or `LANG`, in this order, asks for it."""
    asked = (environment.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    return CHINESE if next(filter(None, asked), "").lower().startswith("zh") else ENGLISH
