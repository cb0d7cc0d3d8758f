"""Spam of the kinds that everybody gets, in English and in Chinese."""

from typing import Final

from tidemill_apps.mailroom.demo.mails.letter import Letter

SPAM: Final = (
    Letter(
        key="win-1",
        hours=66,
        sender="Prize Office <claims@lucky-draw.example>",
        subject="CONGRATULATIONS!! You are a guaranteed WINNER",
        page="""\
<html><body><p>Dear friend,</p>
<p>your address has won a cash prize of <b>$850,000.00</b>! This is 100% free, no obligation.</p>
<p><a href="http://192.0.2.44/claim">Click here</a> and act now, the offer ends tonight!!!</p>
<img src="http://192.0.2.44/gold.gif"><p>To be removed from our mailings, click below.</p>
</body></html>
""",
        is_spam=True,
    ),
    Letter(
        hours=57,
        sender="Home Loans 4U <offers@cheap-mortgage.example>",
        subject="Refinance your mortgage today - lowest rates GUARANTEED",
        text="""
Bad credit? No problem! Our lenders compete for your mortgage and you save thousands of dollars
every month. Free quote, no obligation, no credit check, 100% risk free.
Click here: http://198.51.100.9/rates/apply.htm

To be removed from this list click below: http://198.51.100.9/remove
""",
        is_spam=True,
    ),
    Letter(
        hours=45,
        sender="work4home@easy-income.example",
        subject="Earn money from home $$ limited time",
        text="""
Would you like to make money while you sleep? Our members earn $5,000 to $10,000 per week and
work from home in their spare time. Financial freedom is guaranteed or your money back!
Order our program now: http://203.0.113.80/join.html
This is not spam. To be removed, reply with REMOVE in the subject.
""",
        is_spam=True,
    ),
    Letter(
        hours=24,
        sender="Online Pharmacy <sales@pills-direct.example>",
        subject="Viagra and weight loss pills, no prescription needed!!",
        page="""\
<html><body><font color="red" size="6">Viagra from $2.10 per dose!!!</font><br>
<p>Lose weight with our all natural pills. FREE shipping, money back guarantee, limited time offer.
</p><a href="http://192.0.2.17/order/buy.php">BUY NOW</a>
<div style="display:none">harbour tide letter morning</div></body></html>
""",
        is_spam=True,
    ),
    Letter(
        hours=54,
        sender="财务代理 <fp@quick-tax.example>",
        subject="代开发票，税点优惠",
        page="""\
<html><body><p>我公司可代开发票，增值税、运输、广告、建筑各类发票，点数低，先验后付。</p>
<p>长期有效，限时优惠，加我微信详谈。</p><a href="http://198.51.100.23/fp">点击链接</a>
</body></html>
""",
        is_spam=True,
    ),
    Letter(
        hours=42,
        sender="抽奖中心 <award@big-award.example>",
        subject="恭喜您中奖了!! 免费领取十万元",
        page="""\
<html><body><p>恭喜您！您的邮箱在周年抽奖中获得一等奖，奖金十万元和手机一部。</p>
<p>请点击领取，并填写银行卡号和身份证号。</p>
<form action="http://203.0.113.5/take"><input name="card"></form>
<a href="http://203.0.113.5/take">免费领取</a></body></html>
""",
        is_spam=True,
    ),
    Letter(
        hours=23,
        sender="快贷 <loan@fast-cash.example>",
        subject="无抵押贷款，当天放款",
        page="""\
<html><body><p>无抵押、无担保贷款，额度一万到五十万，当天放款，黑户也可以办理。</p>
<p>限时优惠，加微信咨询，名额有限。</p><a href="http://192.0.2.88/dk">点击链接</a>
</body></html>
""",
        is_spam=True,
    ),
    Letter(
        hours=13,
        sender="招聘 <hr@easy-part-time.example>",
        subject="兼职日赚八百，在家就能做",
        page="""\
<html><body><p>高薪兼职，每天两小时，日赚八百元，稳赚不赔，无需经验，手机就能操作。</p>
<p>加我微信报名，名额有限，先到先得。</p>
<a href="http://198.51.100.61/jz">点击链接</a></body></html>
""",
        is_spam=True,
    ),
)
