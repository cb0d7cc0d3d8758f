"""The HTML of a mail: what its reader sees, and what it links to."""

import html
import re
from collections.abc import Iterator
from typing import Final

import msgspec
from lxml import etree

_INVISIBLE: Final = frozenset({"script", "style", "title", "template", "noscript", "select"})
_BLOCKS: Final = frozenset(
    "address blockquote center dd div dl dt form h1 h2 h3 h4 h5 h6 hr li ol p pre table tr ul"
    " br td th".split()
)
_HIDDEN: Final = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?![.\d])"
)
_TAGS: Final = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.DOTALL | re.IGNORECASE)


class Page(msgspec.Struct, frozen=True):
    """A page as its reader meets it; the counts are of elements, `hidden` is in characters."""

    text: str
    links: tuple[str, ...] = ()
    images: int = 0
    forms: int = 0
    hidden: int = 0


def read_page(markup: str) -> Page:
    """Return what the page shows; markup that no parser takes is shown without its tags."""
    parser = etree.HTMLParser(
        encoding="utf-8", remove_comments=True, remove_pis=True, no_network=True
    )
    try:
        root = etree.fromstring(markup.encode("utf-8", "replace"), parser)
    except (etree.LxmlError, ValueError):
        root = None
    if root is None:
        return Page(_lines(html.unescape(_TAGS.sub(" ", markup))))
    hidden = [element for element in root.iter("*") if _is_hidden(element)]
    return Page(
        text=_lines("".join(_visible(root))),
        links=tuple(link.strip() for each in root.iter("a", "area") if (link := each.get("href"))),
        images=sum(1 for _ in root.iter("img")),
        forms=sum(1 for _ in root.iter("form")),
        hidden=sum(len(" ".join(map(str, each.itertext())).strip()) for each in hidden),
    )


def _visible(root: etree._Element) -> Iterator[str]:
    walk = etree.iterwalk(root, events=("start", "end"))
    for event, element in walk:
        tag = str(element.tag)
        block = tag in _BLOCKS
        if event == "start":
            if tag in _INVISIBLE or _is_hidden(element):
                walk.skip_subtree()
            else:
                yield "\n" if block else ""
                yield re.sub(r"\s+", " ", element.text or "")
        else:
            yield "\n" if block else ""
            yield re.sub(r"\s+", " ", element.tail or "")


def _is_hidden(element: etree._Element) -> bool:
    return _HIDDEN.search((element.get("style") or "").lower()) is not None


def _lines(text: str) -> str:
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return "\n".join(line for line in lines if line)
