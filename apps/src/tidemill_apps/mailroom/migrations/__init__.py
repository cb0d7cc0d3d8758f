"""The revisions of the mailroom's tables."""
