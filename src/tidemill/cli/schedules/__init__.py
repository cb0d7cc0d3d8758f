"""`tidemill schedule …`: what runs at which times.

records   a schedule as a record, and the columns of its tables
options   what `add` and `edit` take
look      ls, show, next, history, status
change    add, edit, run, pause, resume, rm
"""

from tidemill.cli.schedules import change, look
from tidemill.cli.session import Commands

COMMANDS: Commands = {
    "ls": look.ls,
    "show": look.schedule_show,
    "next": look.schedule_next,
    "history": look.history,
    "status": look.status,
    "add": change.add,
    "edit": change.edit,
    "run": change.run,
    "pause": change.pause,
    "resume": change.resume,
    "rm": change.rm,
}
