"""Makes matplotlib's SVG legible on light and on dark pages.

The charts are drawn in the light colours of PALETTE, on a card of their own. A style sheet put into
the file swaps each colour for its dark counterpart where the reader prefers dark; where style
sheets are ignored the light card remains, legible on any page.
"""

from __future__ import annotations

import re

# name: (light, dark). Every light value is used for one purpose only, or the swap would be wrong.
PALETTE: dict[str, tuple[str, str]] = {
    "card": ("#fcfcfd", "#15181e"),
    "ink": ("#1d232b", "#e7eaee"),
    "soft": ("#5d6672", "#a3adb9"),
    "grid": ("#e2e5e9", "#2c323b"),
    "ours": ("#0b6e4f", "#3ddc97"),
    "ours_pale": ("#7fb8a4", "#1f7a58"),
    "peer": ("#8a94a3", "#77818f"),
    "peer_pale": ("#c3c9d1", "#495160"),
    "line1": ("#b3541e", "#ff9d5c"),
    "line2": ("#3a5fcd", "#86a5ff"),
    "line3": ("#8e3fa8", "#d492ea"),
    "line4": ("#a68a00", "#e6c84a"),
    "line5": ("#b02a4b", "#ff7f9d"),
    "line6": ("#3b8189", "#6fd0da"),
}


def colour(name: str) -> str:
    return PALETTE[name][0]


def style_sheet() -> str:
    rules = [
        f'[style*="{part}: {light}"]{{{part}:{dark} !important}}'
        for light, dark in PALETTE.values()
        for part in ("fill", "stroke")
    ]
    return "@media (prefers-color-scheme: dark){" + "".join(rules) + "}"


def themed(svg: str) -> str:
    """Return the SVG with the style sheet, and without what only matplotlib needs."""
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"[ \t]+\n", "\n", svg)
    opening = re.search(r"<svg[^>]*>", svg)
    if opening is None:
        raise ValueError("this is no SVG")
    end = opening.end()
    return f"{svg[:end]}\n <style>{style_sheet()}</style>{svg[end:]}"
