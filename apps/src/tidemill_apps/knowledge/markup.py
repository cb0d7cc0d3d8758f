"""HTML and reStructuredText as Markdown: headings, paragraphs and lists, without decoration."""

import copy
import re
import threading
from collections.abc import Iterator
from typing import Final

import msgspec
from docutils import nodes
from docutils.core import publish_doctree
from docutils.frontend import get_default_settings
from docutils.parsers.rst import Parser
from docutils.readers.standalone import Reader
from lxml import etree

_INVISIBLE: Final = frozenset(
    {"script", "style", "template", "noscript", "head", "nav", "svg", "button", "select", "iframe"}
)
_HEADINGS: Final = {f"h{level}": "#" * level for level in range(1, 7)}
_BLOCKS: Final = frozenset(
    "address article aside blockquote dd div dl dt fieldset figcaption figure footer form header"
    " hr li main ol p pre section table tr ul".split()
) | frozenset(_HEADINGS)
# docutils keeps the roles of the document at hand in a global, so one document at a time: being
# Python throughout, it would not be faster on two threads. And each time it makes settings it swaps
# the process's warning filters, which threads that swap them too then put back wrongly, so that
# its deprecation warnings come out (as errors, where warnings are errors): made once, on import.
_DOCUTILS: Final = threading.Lock()
_SETTINGS: Final = get_default_settings(Parser(), Reader())
vars(_SETTINGS).update(
    report_level=5,
    halt_level=6,
    warning_stream=False,
    file_insertion_enabled=False,
    raw_enabled=False,
)
_ROLE: Final = re.compile(r":[\w:+-]+:`([^`]+)`")


class Marked(msgspec.Struct, frozen=True):
    """A document's own title (may be empty) and its text as Markdown."""

    title: str
    text: str


def markdown_of_html(page: str) -> Marked:
    """Return what a reader of the page sees; an empty text when that is nothing."""
    parser = etree.HTMLParser(
        encoding="utf-8", remove_comments=True, remove_pis=True, no_network=True
    )
    try:
        root = etree.fromstring(page.encode("utf-8", "replace"), parser)
    except etree.XMLSyntaxError:
        return Marked("", "")
    if root is None:
        return Marked("", "")
    title = root.findtext(".//title") or ""
    blocks = re.split(r"\n\s*\n", "".join(_visible(root)))
    text = "\n\n".join(block.rstrip("\N{PILCROW SIGN}") for block in blocks if block.strip())
    return Marked(" ".join(title.split()), re.sub(r"^-\s+", "- ", text, flags=re.MULTILINE))


def _visible(root: etree._Element) -> Iterator[str]:
    walk = etree.iterwalk(root, events=("start", "end"))
    verbatim = 0
    for event, element in walk:
        tag = str(element.tag)
        if event == "start":
            if tag in _INVISIBLE or element.get("role") == "navigation":
                walk.skip_subtree()
                continue
            verbatim += tag == "pre"
            yield _opening(tag)
            yield _written(element.text, verbatim=verbatim > 0)
        else:
            verbatim -= tag == "pre"
            if tag in _BLOCKS:
                yield "\n\n"
            yield _written(element.tail, verbatim=verbatim > 0)


def _opening(tag: str) -> str:
    if tag in _HEADINGS:
        return f"\n\n{_HEADINGS[tag]} "
    if tag == "li":
        return "\n\n- "
    if tag == "br":
        return "\n"
    if tag in {"td", "th"}:
        return " "
    return "\n\n" if tag in _BLOCKS else ""


def _written(text: str | None, *, verbatim: bool) -> str:
    if text is None:
        return ""
    return text if verbatim else re.sub(r"\s+", " ", text)


def markdown_of_rst(source: str) -> Marked:
    """Return the document's text; unknown roles and directives (Sphinx has many) keep theirs.

    Files that the document names are not opened.
    """
    with _DOCUTILS:
        tree = publish_doctree(source, settings=copy.copy(_SETTINGS))
    title = next(iter(tree.findall(nodes.title)), None)
    return Marked(
        _words(title) if title is not None else "",
        "\n\n".join(_paragraph(node) for node in tree.findall(nodes.TextElement) if _own(node)),
    )


def _own(node: nodes.TextElement) -> bool:
    """Whether a node is a paragraph of its own, and the author's rather than docutils'."""
    if isinstance(node, nodes.comment) or isinstance(node.parent, nodes.TextElement):
        return False
    # Of a complaint, only the literal block is the author's: the directive's source.
    return isinstance(node, nodes.literal_block) or not isinstance(
        node.parent, nodes.system_message
    )


def _paragraph(node: nodes.TextElement) -> str:
    if not isinstance(node, nodes.title | nodes.subtitle):
        return _words(node)
    depth, section = 1, node.parent
    while section is not None:
        depth += isinstance(section, nodes.section)
        section = section.parent
    return f"{'#' * depth} {_words(node)}"


def _words(node: nodes.TextElement) -> str:
    return _ROLE.sub(r"\1", node.astext())
