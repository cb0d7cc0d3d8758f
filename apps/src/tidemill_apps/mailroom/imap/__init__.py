"""Mail from IMAP servers (RFC 3501), read only: nothing there is changed, also not what is unread.

server      which server, and as whom
connecting  a connection to it that is guarded, verified and bounded
session     `MailFolder`: one folder of it, open for reading
answers     what its lines say: pure
planning    which mails a sync still has to fetch: pure

Blocking code: call it on a thread. Errors are `Permanent` and `Unavailable`, as `services.errors`
says. A mail is known by its UID, which means something as long as the folder keeps its UIDVALIDITY.
"""

from tidemill_apps.mailroom.imap.answers import Fetched
from tidemill_apps.mailroom.imap.planning import FolderState, Plan, advanced, first_unseen, plan
from tidemill_apps.mailroom.imap.server import MailServer, Security
from tidemill_apps.mailroom.imap.session import MOST_BYTES, TIMEOUT, MailFolder, open_folder

__all__ = [
    "MOST_BYTES",
    "TIMEOUT",
    "Fetched",
    "FolderState",
    "MailFolder",
    "MailServer",
    "Plan",
    "Security",
    "advanced",
    "first_unseen",
    "open_folder",
    "plan",
]
