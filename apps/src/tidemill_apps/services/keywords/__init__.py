"""Passages found by their words: a contract, kept in SQLite or in PostgreSQL.

    index = SqliteKeywords(file)
    index.put("mail", [KeywordRow(passage_id, mail_id, text, {"user_id": user_id})])
    found = index.search("mail", question, 20, {"user_id": user_id})

`PostgresKeywords` lives in `keywords.postgres`: psycopg is an extra.
"""

from tidemill_apps.services.keywords.contract import Keyed, KeywordIndex, KeywordRow
from tidemill_apps.services.keywords.sqlite import SqliteKeywords
from tidemill_apps.services.keywords.words import words

__all__ = ["Keyed", "KeywordIndex", "KeywordRow", "SqliteKeywords", "words"]
