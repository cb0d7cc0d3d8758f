"""What kind of mail it is: its headers know best, its words second."""

import re
from collections.abc import Mapping
from typing import Final

import numpy as np

from tidemill_apps.services.embedder import Embedder, Matrix
from tidemill_apps.services.text.headers import header
from tidemill_apps.services.text.values import Category, Mail

_ROBOT: Final = re.compile(
    r"\b(?:no-?reply|do-?not-?reply|notifications?|alerts?|mailer-daemon|postmaster|system)\b.*@"
)
_BULK: Final = frozenset({"bulk", "list", "junk"})
_LENGTH: Final = 400
"""Characters of a mail that are compared: the encoder averages, and later ones blur."""

_EXAMPLES: Final[Mapping[Category, tuple[str, ...]]] = {
    "work": (
        "Please review the project proposal before our meeting with the client.",
        "The release is delayed, can you update the schedule and the budget?",
        "Attached is the contract for your signature.",
        "We are a customer of yours and want to complain about the service and the delivery.",
        "The server is down, we are investigating the incident.",
        "请在会议之前审阅项目方案并给出修改意见。",
        "附件是本季度的销售报告和合同,请确认。",
        "生产环境出现故障,团队正在排查原因。",
        "我们对贵公司的服务和交货不满意,要求赔偿或补发。",
        "客户要求调整交付时间,请更新计划。",
    ),
    "newsletter": (
        "This week's issue: the best articles, tips and news for our readers.",
        "Our summer sale starts now, discover new products with 30% off.",
        "You receive this newsletter because you subscribed, unsubscribe here.",
        "本期周刊精选:行业新闻、技术文章与活动预告。",
        "新品上市,会员专享优惠,点击了解更多,退订请点此。",
    ),
    "notification": (
        "Your order has been shipped, track your package.",
        "Your password was changed, your verification code is 123456.",
        "Payment received, your invoice and receipt are available in your account.",
        "Build failed on the main branch, this is an automated message.",
        "您的订单已发货,点击查看物流。",
        "您的验证码是 123456,五分钟内有效。",
        "系统通知:您的账户已成功充值,账单已生成。",
    ),
    "personal": (
        "Are you coming to dinner on Saturday? The kids would love to see you.",
        "Happy birthday! How was your holiday with the family?",
        "Thanks for the photos, mum says hello, call me when you get home.",
        "周末一起吃饭吗?爸妈都很想你。",
        "生日快乐!旅行玩得怎么样,照片发我看看。",
    ),
}


class Prototypes:
    """Examples of each category, embedded once, for the mails whose headers say nothing."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._names = [name for name, texts in _EXAMPLES.items() for _ in texts]
        self._rows = embedder.embed([text for texts in _EXAMPLES.values() for text in texts])

    def category(self, mail: Mail) -> Category:
        """The category of the mail; spam is for the spam filter to tell, and never the answer."""
        told = category_by_headers(mail)
        return told or self._nearest(f"{mail.subject}. {mail.text}"[:_LENGTH])

    def _nearest(self, text: str) -> Category:
        """The category whose two nearest examples are nearest together."""
        scores: Matrix = self._rows @ self._embedder.embed([text], "query")[0]
        names = np.array(self._names)
        together = {name: float(np.sort(scores[names == name])[-2:].sum()) for name in _EXAMPLES}
        return max(together, key=together.__getitem__)


def category_by_headers(mail: Mail) -> Category | None:
    """What the headers alone tell; None where they tell nothing.

    An answer on a mailing list is a conversation: nothing is told of it.
    """
    headers = mail.headers
    automatic = header(headers, "Auto-Submitted")
    if automatic and automatic != "no":
        return "notification"
    if _ROBOT.search(header(headers, "From")):
        return "newsletter" if header(headers, "List-Unsubscribe") else "notification"
    answers = header(headers, "In-Reply-To") or header(headers, "References")
    listed = header(headers, "List-Id") or header(headers, "List-Unsubscribe")
    if not answers and (listed or header(headers, "Precedence") in _BULK):
        return "newsletter"
    return None
