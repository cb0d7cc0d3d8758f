"""Mails as people and machines write them, English and Chinese, with what they are."""

import msgspec

from tidemill_apps.services.text.values import Category, Mail, Sentiment, Urgency


class Sample(msgspec.Struct, frozen=True):
    """A mail and what a reader says of it; `asks` begins the first thing that it asks for."""

    name: str
    mail: Mail
    category: Category
    sentiment: Sentiment
    urgency: Urgency
    asks: str | None = None
    deadline: str | None = None
    says: str = ""  # what a summary must not miss


INCIDENT = Sample(
    "incident",
    Mail(
        "Checkout outage this morning",
        """Hi Tom,

the checkout API was down from 9:40 to 10:05 because the disk of db-3 filled up with
query logs. We moved the logs to a separate volume and restarted the database. About
forty customers saw an error and eleven payments failed. Dr. Wong has told the support
team. The weather was nice and the coffee machine works again.

Please check your dashboards for missing orders by Friday and send me the list.
- latency of checkout
- errors of the v1.2 clients

Best regards,
Ann

On Mon, 3 May 2021 at 11:02, Tom Miller wrote:
> What on earth happened? Please call me immediately!
> -- Tom
""",
        {"From": "Ann Lee <ann@shop.example>", "To": "tom@shop.example"},
    ),
    "work",
    "neutral",
    "high",
    "Please check your dashboards",
    "by Friday",
    "checkout API was down",
)
PRAISE = Sample(
    "praise",
    Mail(
        "Great presentation",
        """Dear Maria,

I wanted to tell you how much the client enjoyed your presentation. They loved the clear
charts, and they signed the contract right after the meeting. You did excellent work.
There is no rush with the minutes.

Cheers,
Paul""",
        {"From": "paul@agency.example"},
    ),
    "work",
    "positive",
    "low",
    says="presentation",
)
NEWSLETTER = Sample(
    "newsletter",
    Mail(
        "Gardening weekly: urgent offers, act now!",
        """In this week's issue we visit three gardens by the sea and explain how to prune roses.
Our readers share their best recipes for elderflower syrup. Order our spring bulbs
immediately and save 20 percent.

Click here to unsubscribe. Please do not reply to this email.
""",
        {
            "From": "Gardening <news@garden.example>",
            "List-Unsubscribe": "<https://garden.example/u>",
        },
    ),
    "newsletter",
    "positive",
    "low",
    says="garden",
)
SHIPPED = Sample(
    "shipped",
    Mail(
        "Your order 8812 has been shipped",
        "Your parcel left our warehouse today. It arrives on Tuesday. "
        "Follow it with the number QX-1177.",
        {"From": "Books <no-reply@books.example>"},
    ),
    "notification",
    "neutral",
    "low",
    says="parcel",
)
DINNER = Sample(
    "dinner",
    Mail(
        "Saturday?",
        """Hey Jo,

are you two coming over for dinner on Saturday? Grandma is making her plum cake and the
kids are dying to show you their new kitten. We could watch the old holiday films after.
Could you bring a salad?

Love, Kim""",
        {"From": "kim@home.example"},
    ),
    "personal",
    "positive",
    "low",
    "Could you bring a salad?",
    None,
    "dinner",
)
COMPLAINT = Sample(
    "complaint",
    Mail(
        "Third broken delivery",
        """To whom it may concern,

this is the third delivery in a row that arrived broken, and your hotline was rude and
useless. I am very disappointed and angry. You have to send a replacement by tomorrow
noon, otherwise I will cancel our contract.

J. Ortega""",
        {"From": "ortega@client.example", "Importance": "High"},
    ),
    "work",
    "negative",
    "high",
    "You have to send a replacement",
    "by tomorrow\nnoon",
    "broken",
)
ZH_INCIDENT = Sample(
    "故障",
    Mail(
        "关于昨晚数据库故障的说明",
        """各位好：

昨晚九点四十分，订单数据库的磁盘被查询日志写满，导致下单接口中断了二十五分钟。我们已经把日志迁移到
独立的磁盘，并重启了数据库。约有四十位客户看到错误页面，十一笔付款失败。客服团队已经得到通知。
食堂今天供应红烧肉。

请大家在周五之前核对各自的监控面板，并把缺失的订单列表发给我。

谢谢！
王伟""",
        {"From": "王伟 <wangwei@shop.example>"},
    ),
    "work",
    "negative",
    "medium",
    "请大家在周五之前核对",
    "周五之前",
    "磁盘",
)
ZH_PRAISE = Sample(
    "表扬",
    Mail(
        "客户对演示非常满意",
        """小李，你好：

客户对你昨天的演示非常满意，特别称赞了图表的清晰程度。会后他们就签署了合同，项目圆满成功。
大家都很佩服你的专业和细致。会议纪要不急，慢慢写。

祝好
老陈""",
        {"From": "chen@agency.example"},
    ),
    "work",
    "positive",
    "low",
    says="满意",
)
ZH_NEWSLETTER = Sample(
    "周刊",
    Mail(
        "园艺周刊第 12 期：马上抢购",
        """本期我们走访了三座海边花园，并介绍月季的修剪方法。读者分享了接骨木花糖浆的做法。
春季球根限时八折，马上下单！

如需退订，请点击此处。请勿直接回复本邮件。""",
        {"From": "园艺周刊 <news@garden.example>", "List-Id": "<weekly.garden.example>"},
    ),
    "newsletter",
    "neutral",
    "low",
    says="花园",
)
ZH_CODE = Sample(
    "验证码",
    Mail(
        "登录验证码",
        "您的验证码是 482913，五分钟内有效。如果不是您本人操作，请忽略本邮件。",
        {"From": "noreply@bank.example", "Auto-Submitted": "auto-generated"},
    ),
    "notification",
    "neutral",
    "low",
    says="验证码",
)
ZH_DINNER = Sample(
    "聚餐",
    Mail(
        "周末来家里吃饭吧",
        """小雨：

周六晚上来家里吃饭吧，奶奶要做你最喜欢的糖醋鱼，孩子们想给你看新来的小猫。吃完饭我们一起看以前
旅行的照片。能否带一瓶果汁过来？

爱你的姐姐""",
        {"From": "sister@home.example"},
    ),
    "personal",
    "positive",
    "low",
    "能否带一瓶果汁过来？",
    None,
    "吃饭",
)
ZH_COMPLAINT = Sample(
    "投诉",
    Mail(
        "连续第三次收到破损的货物",
        """贵公司负责人：

这已经是连续第三次收到破损的货物，客服电话一直没人接听，态度也很敷衍。我对此非常失望和气愤。
请务必在明天中午之前补发新的货物，否则我们将取消合同。这件事很紧急，请立即处理。

李建国""",
        {"From": "lijianguo@client.example"},
    ),
    "work",
    "negative",
    "high",
    "请务必在明天中午之前补发",
    "明天中午之前",
    "破损",
)

ENGLISH = (INCIDENT, PRAISE, NEWSLETTER, SHIPPED, DINNER, COMPLAINT)
CHINESE = (ZH_INCIDENT, ZH_PRAISE, ZH_NEWSLETTER, ZH_CODE, ZH_DINNER, ZH_COMPLAINT)
ALL = ENGLISH + CHINESE
