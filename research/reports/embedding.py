"""One page that needs nothing but itself: style, script, figures and Plotly inside, no network.

Plotly's library is 4.8 MB as text; packed with gzip it is a third, and every browser since 2023 can
unpack it.
"""

import base64
import gzip
import json
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from typing import Any

from plotly.offline import get_plotlyjs

STYLE = files("research.reports").joinpath("page.css").read_text(encoding="utf-8")
SCRIPT = files("research.reports").joinpath("page.js").read_text(encoding="utf-8")
WITHOUT_SCRIPT = (
    '<noscript><p class="warn">The charts need JavaScript. All figures are in the tables too.</p>'
    "</noscript>"
)


def chart(name: str, title: str) -> str:
    """Return the place of a figure on the page."""
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>"
        f'<div class="chart" data-figure="{escape(name)}" role="img" '
        f'aria-label="{escape(title)}"></div></figure>'
    )


def whole_page(title: str, body: str, figures: Mapping[str, Any]) -> str:
    """Return a page of a body whose charts' figures are given by name."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>"
        f"<h1>{escape(title)}</h1>{WITHOUT_SCRIPT}{body}"
        f'<script type="application/json" id="figures">{_inside_a_script(figures)}</script>'
        f'<script type="text/plain" id="plotly">{_packed_library()}</script>'
        f"<script>{SCRIPT}</script></body></html>\n"
    )


def _inside_a_script(figures: Mapping[str, Any]) -> str:
    # A name from outside must not be able to end the script it stands in.
    return json.dumps(figures, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _packed_library() -> str:
    # No time stamp inside: the same report is the same page.
    packed = gzip.compress(get_plotlyjs().encode(), 9, mtime=0)
    return base64.b64encode(packed).decode("ascii")
