"""The seam between tasks and whoever understands texts."""

from typing import Final, Protocol

from tidemill_apps.services.text.values import EmailAnalysis, Language, Mail, Summary

SUMMARY_SENTENCES: Final = 3
"""Sentences in the summary of a mail."""


class TextAI(Protocol):
    """Understands texts, one method for each thing that tasks ask.

    The methods are about tasks and not about prompts: an implementation without a model cannot
    follow prompts. They raise `Permanent` where asking again is useless, `Retry`, `Unavailable` or
    `AIOutputInvalid` where it is not; none of them asks again by itself, which is the task's part.
    """

    async def analyze_email(self, mail: Mail) -> EmailAnalysis:
        """What the mail says, is and wants, its summary in at most `SUMMARY_SENTENCES`."""

    async def summarize(
        self, text: str, sentences: int = SUMMARY_SENTENCES, language: Language | None = None
    ) -> Summary:
        """The text in at most so many sentences, in the language given, else in its own.

        What is taken from the text is in the text's language whatever was asked; the answer's
        `language` tells.
        """
