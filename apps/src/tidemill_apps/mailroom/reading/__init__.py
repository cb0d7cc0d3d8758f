"""What people read of a mailroom: each function answers for one user and nobody else.

values      what is answered
mails       mails by time, category, contact and context; one mail with all that is known of it
overviews   contacts, contexts, and everything in numbers
"""

from tidemill_apps.mailroom.reading.mails import (
    mail_of,
    mails_by_id,
    mails_like,
    mails_of,
    user_called,
)
from tidemill_apps.mailroom.reading.overviews import (
    contacts_of,
    contexts_of,
    statistics_of,
)
from tidemill_apps.mailroom.reading.values import (
    Analysed,
    ContactLine,
    ContactOrder,
    ContextLine,
    MailLine,
    MailPage,
    MailQuery,
    MailStatistics,
    MailView,
    Matched,
)

__all__ = [
    "Analysed",
    "ContactLine",
    "ContactOrder",
    "ContextLine",
    "MailLine",
    "MailPage",
    "MailQuery",
    "MailStatistics",
    "MailView",
    "Matched",
    "contacts_of",
    "contexts_of",
    "mail_of",
    "mails_by_id",
    "mails_like",
    "mails_of",
    "statistics_of",
    "user_called",
]
