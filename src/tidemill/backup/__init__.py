"""Backups of an engine, whatever it is, in a file that restores into any other.

    report = await backup(engine, Path("tidemill.backup.gz"))
    report = await restore(other, Path("tidemill.backup.gz"))

The file is gzip, one JSON document per line (lines.py): a header, the queues, the documents, the
marks of schedules, the tallies, the tasks from the newest id to the oldest, and a trailer with the
number of each and the SHA-256 of all lines before it. It is made of many gzip members, one after
the other, which every gunzip reads as one: so that restoring can begin with the oldest tasks
(file.py).

What a backup promises of tasks that change while it is taken is in `docs/backup.md`.
"""

from tidemill.backup.file import BackupReport, verify
from tidemill.backup.restoring import RestoreReport, restore
from tidemill.backup.taking import backup

__all__ = ["BackupReport", "RestoreReport", "backup", "restore", "verify"]
