"""The revisions of the tables that every application has."""
