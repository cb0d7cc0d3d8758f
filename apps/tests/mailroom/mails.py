"""Mails written for the tests: good ones and spam, English and Chinese, and malformed ones."""

import random
from base64 import b64encode
from typing import Final

from tidemill_apps.mailroom.message import parse_mail
from tidemill_apps.mailroom.spam.training import Labelled

PLAIN: Final = b"""\
Received: from mill.example by pond.example; Mon, 2 Mar 2026 09:00:07 +0100
From: Ada Miller <Ada@Mill.example>
To: "Grinder, Head" <head@mill.example>, sam@pond.example
Cc: team@mill.example
Subject: Sluice gate repair on Tuesday
Date: Mon, 2 Mar 2026 09:00:00 +0100
Message-ID: <gate-1@mill.example>
In-Reply-To: <gate-0@mill.example>
References: <start@mill.example> <gate-0@mill.example>
List-Id: Mill people <people.mill.example>
MIME-Version: 1.0
Content-Type: text/plain; charset=us-ascii

The sluice gate will be repaired on Tuesday.
Please stop the wheel before noon.
"""

_CHINESE_TEXT: Final = "水闸将于星期二维修,请在中午之前停下水轮。"
CHINESE: Final = b"\r\n".join(
    [
        b"From: =?gb2312?B?" + b64encode("磨坊主".encode("gb18030")) + b"?= <mo@mill.example>",
        # One character is cut in two by the border between the encoded words.
        b"Subject: =?utf-8?B?" + b64encode("水闸维修".encode()[:4]) + b"?=",
        b" =?utf-8?B?" + b64encode("水闸维修".encode()[4:]) + b"?=",
        b"Content-Type: text/plain; charset=gb2312",
        b"Content-Transfer-Encoding: base64",
        b"",
        b64encode(_CHINESE_TEXT.encode("gb18030")),
        b"",
    ]
)

ALTERNATIVES: Final = b"""\
From: news@pond.example
Subject: =?iso-8859-1?Q?Z=FCrich_prices?=
Content-Type: multipart/mixed; boundary=outer

--outer
Content-Type: multipart/alternative; boundary=inner

--inner
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

Coffee in Z=FCrich costs more.
--inner
Content-Type: text/html

<p>Coffee costs <b>more</b>. <a href="https://pond.example/prices">Prices</a></p>
<img src="cup.png">
--inner--
--outer
Content-Type: application/pdf; name="prices.pdf"
Content-Transfer-Encoding: base64

JVBERi0xLjQ=
--outer--
"""

SPAM_PAGE: Final = b"""\
From: deals4u
Subject: GUARANTEED WINNER!!
Content-Type: text/html

<html><head><style>p {color: red}</style></head><body>
<p>Click   here<br>to be removed. No obligation!</p>
<div style="display: none">river stone walk</div>
<form action="x"><input></form>
<a href="http://192.0.2.7/win">Win</a>
</body></html>
"""

MALFORMED: Final = {
    "nothing": b"",
    "no colon": b"hello there\n\nworld",
    "binary": bytes(range(256)) * 4,
    "open boundary": b"Content-Type: multipart/mixed; boundary=x\n\n--x\n\ntext",
    "missing boundary": b"Content-Type: multipart/alternative\n\ntext",
    "bad base64": b"Content-Transfer-Encoding: base64\n\nA!!!=A=\xff\n",
    "strange charset": b"Content-Type: text/plain; charset=klingon\n\nZ\xfcrich",
    "codec as charset": b"Content-Type: text/plain; charset=unicode_escape\n\n\\x",
    "binary codec": b"Content-Type: text/plain; charset=hex\n\nzz",
    "punycode": b"Content-Type: text/plain; charset=punycode\n\n\xff\xff",
    "zero in charset": b'Content-Type: text/plain; charset="a\0b"\n\ntext',
    "zero in rfc 2231": b"Content-Type: text/plain; charset*=a\0b''x%00\n\ntext",
    "surrogate of utf-7": b"Content-Type: text/plain; charset=utf-7\n\n+2AA-",
    "bad uuencode": b"Content-Transfer-Encoding: uuencode\n\nbegin 666 x\n\xff\xff\nend",
    "bad words": b"Subject: =?utf-8?B?A?= =?nosuch?Q?=ZZ?= =?utf-8?B?\xff?=\n\n",
    "bad date": b"Date: Mon, 99 Foo 99999 99:99:99 +9999999\n\n",
    "early date": b"Date: Mon, 1 Jan 0001 00:00:00 +2359\n\n",
    "bad addresses": b'From: <<@,;:"\\\nTo: ((((\nCc: \xff\xfe@\xff\n\n',
    "deep comments": b"From: " + b"(" * 20_000 + b"\nTo: " + b"<" * 20_000 + b"\n\n",
    "endless date": b"Date: " + b"9" * 20_000 + b"\n\n",
    "eight-bit content type": b'Content-Type: text/\xff; name="\xc4\xe3"; charset=\xff\n\nx',
    "long line": b"Subject: " + b"x" * 100_000 + b"\n\n",
    "deep parts": b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (depth, depth)
        for depth in range(2000)
    ),
    "deep mails": b"Content-Type: message/rfc822\n\n" * 2000 + b"text",
    "deep page": b"Content-Type: text/html\n\n" + b"<div>" * 5000 + b"text",
    "zero in page": b"Content-Type: text/html\n\n<p>a\0b</p><!DOCTYPE x [<!ENTITY a 'b'>]>&a;",
}

_GOOD: Final = (
    "gate wheel repair meeting tide report grain schedule minutes flour stone crew".split()
)
_BAD: Final = "viagra casino mortgage winner cash credit guaranteed loans prize pills bonus".split()
_BOTH: Final = "the a and for with today please you your new week time from about is now".split()


def small_corpus(mails: int = 120) -> list[Labelled]:
    """Return made mails, a third of them spam, no two of them alike; the same each time."""
    return [Labelled(parse_mail(data), is_spam) for data, is_spam in small_mails(mails)]


def small_mails(mails: int = 120) -> list[tuple[bytes, bool]]:
    """Return the bytes of the same mails, and which are spam."""
    chance = random.Random(9)
    spam = [number % 3 == 0 for number in range(mails)]
    return [(_made(number, chance, is_spam=each), each) for number, each in enumerate(spam)]


def _made(number: int, chance: random.Random, *, is_spam: bool) -> bytes:
    own, other = (_BAD, _GOOD) if is_spam else (_GOOD, _BAD)
    pool = own * 6 + other + _BOTH * 4
    words = [chance.choice(pool) for _ in range(60)]
    return (
        f"From: {chance.choice('abc')}@{'deals' if is_spam else 'mill'}.example\n"
        f"Message-ID: <{number}@made.example>\n"
        f"Subject: {' '.join(words[:5])}\n\n{' '.join(words[5:])}\n"
    ).encode()
