"""A template, a language and a context as a mail."""

import hashlib
from collections.abc import Mapping
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import localtime, parseaddr
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec
from jinja2 import (
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    PackageLoader,
    StrictUndefined,
    TemplateError,
    TemplateNotFound,
    select_autoescape,
)

from tidemill import Permanent

Language: TypeAlias = Literal["en", "zh"]


class Letter(msgspec.Struct, frozen=True):
    """What a mail says, before it is addressed; `html` where there is a template for it."""

    subject: str
    text: str
    html: str | None = None


class Templates:
    """Templates of Jinja2: `NAME/LANGUAGE.subject.txt`, `NAME/LANGUAGE.txt`, `NAME/LANGUAGE.html`.

    Those in `folder` come before the ones that every application has. Values are escaped in HTML;
    a name that the context lacks is an error, as is a subject of several lines.
    """

    def __init__(self, folder: Path | None = None) -> None:
        own = [FileSystemLoader(folder)] if folder else []
        self._environment = Environment(
            loader=ChoiceLoader([*own, PackageLoader(__package__, "templates")]),
            autoescape=select_autoescape(["html"], default_for_string=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def letter(self, template: str, lang: Language, context: Mapping[str, Any]) -> Letter:
        """Render a template; raises `Permanent` (code `template`) where it cannot be."""
        try:
            subject = self._rendered(f"{template}/{lang}.subject.txt", context).strip()
            text = self._rendered(f"{template}/{lang}.txt", context)
            html = self._html(f"{template}/{lang}.html", context)
        except TemplateError as error:
            told = f"the mail template {template!r} in {lang!r} cannot be rendered: {error!r}"
            raise Permanent(told, code="template") from error
        if not subject or len(subject.splitlines()) > 1:
            raise Permanent(
                f"the subject of the mail template {template!r} in {lang!r} must be one line, and "
                f"is {subject!r}",
                code="template",
            )
        return Letter(subject, text, html)

    def _html(self, name: str, context: Mapping[str, Any]) -> str | None:
        try:
            template = self._environment.get_template(name)
        except TemplateNotFound as missing:
            if missing.name == name:
                return None
            raise
        return template.render(context)

    def _rendered(self, name: str, context: Mapping[str, Any]) -> str:
        return self._environment.get_template(name).render(context)


def addressed(letter: Letter, *, sender: str, recipient: str, key: str) -> EmailMessage:
    """The mail to one recipient; the same key makes the same Message-ID.

    Raises `Permanent` (code `bad_address`) for what is no address.
    """
    message = EmailMessage(policy=SMTP)
    message["From"] = _address(sender)
    message["To"] = _address(recipient)
    message["Subject"] = letter.subject
    message["Date"] = localtime()
    message["Message-ID"] = message_id(key, sender)
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no automatic answers, please
    message.set_content(letter.text)
    if letter.html is not None:
        message.add_alternative(letter.html, subtype="html")
    return message


def message_id(key: str, sender: str) -> str:
    """The Message-ID of every mail of a key, at the sender's domain.

    A key may hold what an id must not, so it is hashed.
    """
    digest = hashlib.sha256(key.encode()).hexdigest()[:40]
    return f"<{digest}@{_address(sender).domain}>"


def _address(text: str) -> Address:
    name, found = parseaddr(text)
    user, _, domain = found.rpartition("@")
    try:
        if user and domain and text.isprintable():
            return Address(name, user, domain)
    except ValueError:  # it holds what no address may
        pass
    raise Permanent(f"{text!r} is no mail address", code="bad_address")
