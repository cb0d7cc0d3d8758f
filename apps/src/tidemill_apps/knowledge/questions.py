"""The demo's questions and the document in which each answer stands."""

from typing import Final

import msgspec


class Question(msgspec.Struct, frozen=True):
    """A question; the name of the document with the answer ends in `expected`."""

    text: str
    expected: str


QUESTIONS: Final = (
    Question(
        "How do I generate a secure random token for a password reset link?",
        "python/secrets.py",
    ),
    Question(
        "Which built-in returns a new sorted list from an iterable, with a custom key function?",
        "python/built-in-functions.pdf",
    ),
    Question("怎样用 copytree 把整个目录连同里面的文件递归地复制到另一个地方?", "python/shutil.py"),
    Question(
        "What does each durability level survive, a killed process or a power cut?",
        "tidemill/docs/guarantees.md",
    ),
    Question("潮汐磨坊怎样把成批的任务变成结果?", "tidemill/README.zh-CN.md"),
)
"""The third asks in Chinese what an English document answers. Each must be in the top 3."""
