"""The business database of an application: sessions, effects that happen once, tasks after commit.

place       which URLs name a business database; never the file of the engine
opening     connections: transactions of SQLite, one journal, foreign keys
sessions    `Database`: sessions that read, sessions that write
instants    `Instant`: a column of aware UTC instants
tables      the tables that every application has
ledger      `once`: whether an effect is still to be made
recorded    a call as JSON, and back
outbox      `Outbox`: tasks that exist exactly when the transaction does
migrating   `migrate`: brings the tables to the version of the code
"""

from tidemill_apps.services.database.instants import Instant, utc_now
from tidemill_apps.services.database.ledger import forget, insert_if_absent, once
from tidemill_apps.services.database.migrating import migrate
from tidemill_apps.services.database.outbox import Outbox, Relayed
from tidemill_apps.services.database.place import database_url
from tidemill_apps.services.database.sessions import Database

__all__ = [
    "Database",
    "Instant",
    "Outbox",
    "Relayed",
    "database_url",
    "forget",
    "insert_if_absent",
    "migrate",
    "once",
    "utc_now",
]
