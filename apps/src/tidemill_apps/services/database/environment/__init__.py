"""The environment of the revisions of every application."""
