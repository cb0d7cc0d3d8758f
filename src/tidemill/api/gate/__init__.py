"""The gate before the HTTP interface: who asks, how often, and from where.

asking         what the gate reads of a request, and what it concludes of that alone
credentials    from a key, a token or a session to what it proves
pace           how often each caller asks
strict         headers of every answer
door           the ASGI application that does all this before the one behind it
"""

from tidemill.api.gate.asking import Asked
from tidemill.api.gate.credentials import Credentials
from tidemill.api.gate.door import Authenticate, Gate, trusted

__all__ = ["Asked", "Authenticate", "Credentials", "Gate", "trusted"]
