"""Mail from templates, in English and Chinese, each once per recipient as far as SMTP allows.

message    a template, a language and a context as a mail
ledger     what was sent to whom under which key
mailer     `Mailer`: the connection, and what the server's answers mean
templates  the templates that every application has: `notice`
"""

from tidemill_apps.services.mailer.mailer import Mailer, MailServer, Refusal, Sent
from tidemill_apps.services.mailer.message import Language, Letter, Templates

__all__ = ["Language", "Letter", "MailServer", "Mailer", "Refusal", "Sent", "Templates"]
