"""`tidemill queue …`: queues as they stand, and changing them.

records   a queue as a record, and the columns of its tables
look      ls, show, stats
change    create, set, reset, pause, resume, purge
"""

from tidemill.cli.queues import change, look
from tidemill.cli.session import Commands

COMMANDS: Commands = {
    "ls": look.ls,
    "show": look.queue_show,
    "stats": look.queue_stats,
    "create": change.create,
    "set": change.set_,
    "reset": change.reset,
    "pause": change.pause,
    "resume": change.resume,
    "purge": change.purge,
}
