"""Who may use the HTTP interface: API keys, login links with their sessions, and signed tokens.

keys       API keys: made, listed, revoked, looked up
logins     links that sign a browser in once, and the sessions that come of them
tokens     JSON Web Tokens, which are checked and never kept
secrets    how a secret is made, named and remembered
"""

from tidemill.app.credentials.keys import ApiKey, ApiKeys, NewKey
from tidemill.app.credentials.logins import Logins

__all__ = ["ApiKey", "ApiKeys", "Logins", "NewKey"]
