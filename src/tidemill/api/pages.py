"""The few pages that the server has by itself: no scripts, and nothing from elsewhere."""

import base64
import hashlib
from html import escape
from typing import Final

from litestar import Response

_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:15vh auto;padding:0 1rem;"
    "color-scheme:light dark}"
    "button{font:inherit;padding:.5rem 1.5rem;cursor:pointer}"
)
_DIGEST: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS: Final = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_DIGEST}'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    # With no-referrer browsers send `Origin: null` with a form, and what checks it knows nothing.
    "Referrer-Policy": "same-origin",
}


def page(status: int, *parts: str, headers: dict[str, str] | None = None) -> Response[str]:
    """A page of these parts, which are HTML."""
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Tidemill</title><style>{_STYLE}</style></head>"
        f"<body><h1>Tidemill</h1>{''.join(parts)}</body></html>"
    )
    return Response(
        text,
        status_code=status,
        media_type="text/html; charset=utf-8",
        headers=_HEADERS | (headers or {}),
    )


def sentence(english: str, chinese: str) -> str:
    """A paragraph in both languages."""
    return f'<p>{escape(english)}<br><span lang="zh-Hans">{escape(chinese)}</span></p>'


def form(action: str, english: str, chinese: str, **values: str) -> str:
    """A form that is one button; `action` is beside the page."""
    hidden = "".join(
        f'<input type="hidden" name="{name}" value="{escape(value)}">'
        for name, value in values.items()
    )
    label = f'{escape(english)} · <span lang="zh-Hans">{escape(chinese)}</span>'
    return f'<form method="post" action="{action}">{hidden}<button>{label}</button></form>'


def link(address: str, text: str) -> str:
    """A link to an address beside the page."""
    return f'<p><a href="{escape(address)}">{escape(text)}</a></p>'
