"""Good mail in Chinese: a warehouse, a cold store, customers, family, letters to subscribers."""

from typing import Final

from tidemill_apps.mailroom.demo.mails.letter import Letter

_ZHOU: Final = "周启明 <zhou.qiming@harbour.example>"
_SHEN: Final = "沈岚 <shen.lan@harbour.example>"
_MOTHER: Final = "妈妈 <mama@quist.example>"

CHINESE: Final = (
    Letter(
        key="lease-1",
        hours=68,
        sender=_ZHOU,
        subject="港口项目：二号仓库的租约",
        text="""
Mara，你好：

二号仓库的租约下个月到期，房东愿意续签两年，但租金要上涨百分之六。
港口项目的设备都放在那里，搬走至少要三个星期。请在周五之前告诉我是否续签。

周启明
""",
    ),
    Letter(
        key="lease-2",
        hours=61,
        sender=_SHEN,
        answers="lease-1",
        subject="回复：港口项目：二号仓库的租约",
        text="""
我算了一下，搬仓库的费用比上涨的租金还要高，建议续签一年，同时再谈价格。
合同草稿我今天整理好，明天发给大家。

沈岚

> 二号仓库的租约下个月到期，房东愿意续签两年，但租金要上涨百分之六。
""",
    ),
    Letter(
        key="lease-3",
        hours=50,
        sender=_ZHOU,
        answers="lease-2",
        subject="回复：港口项目：二号仓库的租约",
        text="""
房东同意只续签一年，租金只涨百分之三，非常感谢沈岚的努力。
合同已经放在你的桌上，签字以后我送过去。

> 建议续签一年，同时再谈价格。
""",
    ),
    Letter(
        key="cold-1",
        hours=33,
        sender="冷库值班 <cold.store@harbour.example>",
        subject="紧急：三号冷库温度过高",
        text="""
三号冷库的压缩机凌晨两点停机，库内温度已经升到零下九度，里面有四十吨鱼。
请立即联系维修师傅，并安排冷藏车把货物转移到五号库。
""",
    ),
    Letter(
        key="cold-2",
        hours=29,
        sender="冷库值班 <cold.store@harbour.example>",
        answers="cold-1",
        subject="回复：紧急：三号冷库温度过高",
        text="""
压缩机已经修好，原因是一只继电器烧坏。温度回到零下二十度，货物全部完好。
感谢各位连夜帮忙。
""",
    ),
    Letter(
        key="suppliers",
        hours=28,
        sender=_SHEN,
        subject="会议邀请：供应商评审，下周二上午十点",
        text="""
请参加下周二上午十点的供应商评审会，地点在三楼会议室。
议程：拖船燃油报价、缆绳质量问题、明年的框架合同。请在周一之前确认是否出席。
""",
    ),
    Letter(
        key="training",
        hours=25,
        sender="人事部 <hr@harbour.example>",
        subject="消防培训安排",
        text="""
各位同事：

本季度的消防培训定在下周三下午，所有值班长必须参加。
培训内容包括灭火器的使用和船舶火灾的处置。请各部门在周五之前报名单。
""",
    ),
    Letter(
        key="damp",
        hours=21,
        sender="海川贸易 顾平 <gu.ping@haichuan.example>",
        subject="货物受潮，要求赔偿",
        text="""
Quist 女士：

上周在贵港卸下的两百箱茶叶全部受潮，包装破损，我们非常不满意。
卸货时没有人盖防水布，这是严重的失误。请在本周内答复赔偿方案，否则我们将停止合作。

顾平
""",
    ),
    Letter(
        key="seal",
        hours=19,
        sender="远帆律师事务所 <office@yuanfan-law.example>",
        subject="引航合同请于月底前盖章",
        text="""
您好：

引航服务合同的最终版本已经确认，修改处只有第七条的付款期限。
请在本月二十八日之前盖章并寄回两份原件，逾期需要重新报批。
""",
    ),
    Letter(
        key="thanks",
        hours=16,
        sender="白鹭号船长 韩洲 <captain.han@egret.example>",
        subject="感谢贵港的帮助",
        text="""
上周台风的时候，贵港的拖船冒着大浪把我们带进港池，船员都平安无事。
我代表全体船员表示衷心的感谢，你们的工作非常出色。
""",
    ),
    Letter(
        key="shipping-48",
        hours=38,
        sender="航运观察 <weekly@shipping-view.example>",
        subject="航运观察第 48 期：潮汐电站与老码头",
        headers={
            "List-Id": "航运观察 <weekly.shipping-view.example>",
            "List-Unsubscribe": "<https://shipping-view.example/leave>",
        },
        text="""
本期内容：潮汐电站的第一个冬天，老码头怎样变成图书馆，以及一位灯塔看守人的日记。
读者来信：为什么浮标有红有绿？

您收到本刊是因为您曾经订阅，可随时退订。
""",
    ),
    Letter(
        key="books",
        hours=34,
        sender="海边书店 <letter@seaside-books.example>",
        subject="海边书店本月读书会",
        headers={
            "List-Id": "海边书店 <letter.seaside-books.example>",
            "List-Unsubscribe": "<mailto:leave@seaside-books.example>",
        },
        text="""
本月我们一起读三本关于河流的小说，周日下午三点在书店二楼见面。
新到的航海地图集可以在店里翻阅。
""",
    ),
    Letter(
        key="parcel-zh",
        hours=17,
        sender="快递通知 <no-reply@kuaidi.example>",
        subject="您的包裹已到达驿站",
        headers={"Auto-Submitted": "auto-generated"},
        text="""
您的包裹已到达港前路驿站，请凭取件码在三天内领取，驿站每天营业到晚上九点。
""",
    ),
    Letter(
        key="backup",
        hours=14,
        sender="备份系统 <system@backup.example>",
        subject="系统通知：昨夜备份已完成",
        headers={"Auto-Submitted": "auto-generated"},
        text="""
昨夜的备份已完成，共 412 GB，用时 58 分钟，校验全部通过。
这是一封自动发出的通知。
""",
    ),
    Letter(
        key="home",
        hours=11,
        sender=_MOTHER,
        subject="周末回家吃饭吗",
        text="""
周末回家吃饭吗？你爸买了你爱吃的螃蟹，天冷了，路上多穿一点。
""",
    ),
    Letter(
        key="swimming",
        hours=5,
        sender=_MOTHER,
        subject="小禾的游泳比赛",
        text="""
昨天小禾参加学校的游泳比赛，得了第二名，高兴得一晚上没睡着。
她说下次要姑姑来看，照片等你回来给你看。
""",
    ),
)
