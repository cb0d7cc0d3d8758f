"""Good mail in English: a building project, an incident, an invoice, a friend, and odd ones."""

from typing import Final

from tidemill_apps.mailroom.demo.mails.letter import Attached, Letter

_JONAS: Final = "Jonas Ekdal <jonas@harbour.example>"
_LIN: Final = "Lin Xiao <lin.xiao@harbour.example>"
_PIET: Final = "Piet Vermeer <piet@lockworks.example>"
_NORA: Final = "Nora Quist <nora@quist.example>"
_TEAM: Final = "Harbour team <team@harbour.example>"

_MALFORMED: Final = (
    b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="ebb"\r\n\r\n'
    b"--ebb\r\nContent-Type: text/plain; charset=x-lighthouse\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\n"
    b"VGhlIGZvZyBob3JuIG9uIHRoZSBub3J0aCBtb2xlIHdhcyB0ZXN0ZWQgdG9kYXkuIEl0IGlz!!!\r\n"
    b"IGhlYXJkIHR3byBtaWxlcyBvdXQu\r\n"
)

ENGLISH: Final = (
    Letter(
        key="crane-1",
        hours=70,
        sender=_JONAS,
        cc=_TEAM,
        subject="Harbour project: the foundation of the new crane",
        text="""
Hello Mara,

the drilling on quay 4 is done. The soil is softer than the survey said, so
the foundation of the crane needs eleven more piles. The builders can start
with them on Monday if we agree by Thursday. Please tell me whether the
budget of the harbour project allows it.

Jonas
""",
    ),
    Letter(
        key="crane-2",
        hours=64,
        sender=_LIN,
        answers="crane-1",
        cc=_TEAM,
        subject="Re: Harbour project: the foundation of the new crane",
        text="""
Hi all,

eleven piles cost about 84,000. The reserve of the harbour project still
holds 120,000, so it fits. I need the signed offer before I can book it.

Lin

> The soil is softer than the survey said, so the foundation of the
> crane needs eleven more piles.
""",
    ),
    Letter(
        key="crane-3",
        hours=52,
        sender=_JONAS,
        answers="crane-2",
        cc=_TEAM,
        subject="Re: Harbour project: the foundation of the new crane",
        text="""
Good news: the builders have signed, and they keep the old price. Excellent
work, Lin. The piles come by barge on Monday morning; quay 4 stays closed
until Wednesday.

Jonas

> I need the signed offer before I can book it.
""",
    ),
    Letter(
        key="sluice",
        hours=47,
        sender=_PIET,
        subject="Sluice gate out of service next week",
        text="""
Dear Mara,

our divers will change the seals of the western sluice gate. No ship can
pass it from Tuesday 22:00 until Wednesday 04:30. Please let the tug crews
know, and keep the radio on channel 12 free.

Kind regards,
Piet Vermeer, Lockworks
""",
    ),
    Letter(
        key="incident-1",
        hours=30,
        sender="Duty desk <duty@harbour.example>",
        cc=_TEAM,
        subject="URGENT: berth booking system is down",
        text="""
The booking system is down since 06:10: nobody can reserve a berth, and
three ships are waiting. The database refuses all connections. We are
failing over to the second site right now. Please answer the captains by
phone, and write their wishes down.
""",
    ),
    Letter(
        key="incident-2",
        hours=27,
        sender="Duty desk <duty@harbour.example>",
        answers="incident-1",
        cc=_TEAM,
        subject="Re: URGENT: berth booking system is down",
        text="""
The booking system works again since 08:55. A full disk had stopped the
database; no booking is lost. We will set a warning at 80 percent so that it
cannot surprise us again. Thank you for your patience.
""",
    ),
    Letter(
        key="invoice",
        hours=44,
        sender="Hedda Lund <accounts@lund-inspections.example>",
        subject="Invoice 2207 for the crane inspection",
        text="""
Hello Mara,

here is invoice 2207 for the inspection of cranes 1 to 3, as we discussed on
Monday: 3,480.00, due on the 30th of this month. The brake of crane 2 wants
new linings next year, so I wrote that into the report.

Hedda Lund
""",
        attached=Attached(
            "invoice-2207.csv", "text/csv", b"item,amount\ninspection of cranes,3480.00\n"
        ),
    ),
    Letter(
        key="review",
        hours=26,
        sender=_JONAS,
        cc=_TEAM,
        subject="Invitation: review of the harbour project, Thursday 14:00",
        text="""
Please come to the review of the harbour project on Thursday at 14:00, room
Pilot House. We go through the schedule, the costs and the risks. Please
confirm by Wednesday.
""",
        attached=Attached(
            "review.ics",
            "text/calendar",
            b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nSUMMARY:Review\r\n"
            b"END:VEVENT\r\nEND:VCALENDAR\r\n",
        ),
    ),
    Letter(
        key="complaint",
        hours=22,
        sender="Otto Brandt <brandt@brandt-timber.example>",
        subject="Third delayed unloading in a row",
        text="""
Ms Quist,

our timber lay on the quay for two days in the rain because nobody unloaded
it. This is the third time this autumn, and I am very disappointed. The
damage is about 9,000. We expect an answer this week, or we take our ships
elsewhere.

Otto Brandt
""",
    ),
    Letter(
        key="tides-48",
        hours=40,
        sender="Tide and Tackle <letter@tide-and-tackle.example>",
        subject="Tide and Tackle no. 48: mills that run on the sea",
        headers={
            "List-Id": "Tide and Tackle <letter.tide-and-tackle.example>",
            "List-Unsubscribe": "<https://tide-and-tackle.example/leave>",
        },
        text="""
In this issue: how a tide mill grinds twice a day, five knots for a wet
rope, and a walk along the old salt pans. Our readers wrote about their
first storm.

You receive this letter because you subscribed to it. Leave it at any time.
""",
    ),
    Letter(
        key="museum",
        hours=35,
        sender="Museum of Mills <news@museum-of-mills.example>",
        subject="What is on at the Museum of Mills this month",
        headers={
            "List-Id": "News of the museum <news.museum-of-mills.example>",
            "List-Unsubscribe": "<mailto:leave@museum-of-mills.example>",
        },
        text="""
The wheel turns again on both weekends, weather permitting. The miller shows
how stones are dressed. Children bake bread from what they have ground.
""",
    ),
    Letter(
        key="build-511",
        hours=20,
        sender="Builds <no-reply@builds.example>",
        subject="Build 511 of berth-booking failed",
        headers={"Auto-Submitted": "auto-generated"},
        text="""
Build 511 of the branch main has failed: 2 of 340 tests did not pass.
test_a_berth_is_booked_once and test_a_captain_is_told, in 4 minutes 12
seconds.
""",
    ),
    Letter(
        key="parcel",
        hours=18,
        sender="Parcels <notifications@parcels.example>",
        subject="Parcel NX-4471 arrives tomorrow",
        headers={"Auto-Submitted": "auto-generated"},
        text="""
The parcel with the chart table lamp left the depot this morning and should
arrive tomorrow before noon. Nobody has to be at home: it goes into the box
beside the door.
""",
    ),
    Letter(
        key="dinner",
        hours=15,
        sender=_NORA,
        subject="Dinner on Saturday?",
        text="""
Hi Mara,

are you coming to dinner on Saturday? Dad is making his fish soup, and the
kids want to show you their boat. Bring nothing but time.

Love, Nora
""",
    ),
    Letter(
        key="photos",
        hours=9,
        sender=_NORA,
        answers="dinner",
        subject="Re: Dinner on Saturday?",
        text="""
How lovely, we are so happy that you come! Here is what the kids built: it
floats, mostly. Dad says hello.

> I will be there at six, and hungry.
""",
    ),
    Letter(
        key="minutes",
        hours=12,
        sender="Safety office <safety@harbour.example>",
        subject="Minutes of the safety meeting",
        page="""\
<html><body><h1>Minutes of the safety meeting</h1>
<p>Present: all shift leaders. <b>Helmets</b> are now worn on every quay, also by visitors.</p>
<p>The ladder at quay 2 is rusty. Jonas has it replaced by the end of next week.</p>
<ul><li>Next drill: first Monday of the month</li><li>Life rings: all checked</li></ul>
</body></html>
""",
    ),
    Letter(
        hours=8,
        sender="Pilot station <pilots@station.example>",
        subject="Pilots for the night of Sunday",
        text="""
For the night of Sunday we have two pilots on duty, Aksel and Runa. Ships
over 180 metres have to give four hours of notice.
""",
    ),
    Letter(
        key="fog",
        hours=6,
        sender="Lighthouse <lighthouse@harbour.example>",
        subject="Fog horn",
        raw=_MALFORMED,
    ),
)
