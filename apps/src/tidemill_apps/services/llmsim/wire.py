"""What OpenAI's API asks and answers, as far as it is simulated."""

from typing import Literal

import msgspec

CHAT_MODEL = "llmsim-chat"


class Part(msgspec.Struct, frozen=True):
    """A part of a message; only text is read."""

    type: str
    text: str = ""


class Message(msgspec.Struct, frozen=True):
    """One message of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | tuple[Part, ...] | None = None

    @property
    def text(self) -> str:
        """All that it says."""
        if isinstance(self.content, tuple):
            return "".join(part.text for part in self.content)
        return self.content or ""


class StreamOptions(msgspec.Struct, frozen=True):
    """Whether the last event of a stream counts the tokens."""

    include_usage: bool = False


class ChatRequest(msgspec.Struct, frozen=True):
    """A request to continue a conversation."""

    model: str
    messages: tuple[Message, ...]
    stream: bool = False
    stream_options: StreamOptions | None = None


class EmbeddingRequest(msgspec.Struct, frozen=True):
    """A request to embed texts."""

    model: str
    input: str | tuple[str, ...]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts, also where one was given by itself."""
        return (self.input,) if isinstance(self.input, str) else self.input


class Usage(msgspec.Struct, frozen=True):
    """What a request read and wrote, in tokens."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Told(msgspec.Struct, frozen=True):
    """What is wrong with a request, or with the server."""

    message: str
    type: str
    code: str | None = None
    param: str | None = None


class ErrorAnswer(msgspec.Struct, frozen=True):
    """The body of every answer that is not a success."""

    error: Told


def usage(prompt: str, completion: str = "") -> Usage:
    """A count that stays the same: four bytes of UTF-8 are a token."""
    read, written = (-(-len(text.encode()) // 4) for text in (prompt, completion))
    return Usage(read, written, read + written)
