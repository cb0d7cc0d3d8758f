"""The mailroom in one process: a mailbox is synced, its mail understood, and found again."""
