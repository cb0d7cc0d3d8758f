"""Texts understood without a model that writes: what is said of a text is taken from it."""

import asyncio
import threading
from typing import Final

from tidemill_apps.services.embedder import Embedder
from tidemill_apps.services.text.actions import action_items
from tidemill_apps.services.text.category import Prototypes
from tidemill_apps.services.text.courtesy import is_courtesy
from tidemill_apps.services.text.extractive import extract
from tidemill_apps.services.text.keywords import keywords
from tidemill_apps.services.text.language import language_of
from tidemill_apps.services.text.provider import SUMMARY_SENTENCES
from tidemill_apps.services.text.sentences import own_text, sentences
from tidemill_apps.services.text.sentiment import sentiment_of, sentiment_score
from tidemill_apps.services.text.urgency import urgency_of
from tidemill_apps.services.text.values import EmailAnalysis, Language, Mail, Origin, Summary

MAIL_CHARACTERS: Final = 8_000
"""How much of a mail is read: what matters stands before, and digests run to megabytes."""


class OfflineText:
    """A `TextAI` that is always there: extractive summaries, rules, prototypes and lexicons.

    It works on a thread, from any number of tasks at once. Its sentences and action items are
    slices of the text.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._origin = Origin("offline", embedder.model_id, "extractive")
        self._loading = threading.Lock()
        self._prototypes: Prototypes | None = None

    async def analyze_email(self, mail: Mail) -> EmailAnalysis:
        """Read the mail's own words: neither its quotations nor its signature."""
        return await asyncio.to_thread(self._analyze, mail)

    async def summarize(
        self, text: str, sentences: int = SUMMARY_SENTENCES, language: Language | None = None
    ) -> Summary:
        """Take the sentences that say most; `language` cannot be chosen and is not looked at."""
        del language
        return await asyncio.to_thread(self._summarize, text, sentences)

    def _analyze(self, mail: Mail) -> EmailAnalysis:
        text = own_text(mail.text[:MAIL_CHARACTERS])
        said = sentences(text)
        telling = ". ".join(each for each in said if not is_courtesy(each))
        category = self._known().category(Mail(mail.subject, text, mail.headers))
        score = sentiment_score(said)
        return EmailAnalysis(
            summary=self._summary(text, said, SUMMARY_SENTENCES),
            category=category,
            sentiment=sentiment_of(score),
            sentiment_score=score,
            urgency=urgency_of(mail, text, category),
            action_items=action_items(said),
            keywords=keywords(mail.subject, telling),
        )

    def _summarize(self, text: str, count: int) -> Summary:
        return self._summary(text, sentences(text), count)

    def _summary(self, text: str, said: tuple[str, ...], count: int) -> Summary:
        chosen = extract(said, count, self._embedder)
        return Summary(chosen, language_of(text), self._origin)

    def _known(self) -> Prototypes:
        with self._loading:
            self._prototypes = self._prototypes or Prototypes(self._embedder)
            return self._prototypes
