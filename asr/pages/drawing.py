"""Figures of a page as inline SVG that takes its colours from the page, light or dark.

Matplotlib is imported when the first figure is drawn: nothing else needs it.
"""

import io
import re
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Matplotlib writes these colours into the SVG; they become what the page's style sheet says.
TEXT, MUTED, GRID, FIRST, SECOND = "#010203", "#040506", "#070809", "#0a0b0c", "#0d0e0f"
THIRD, FOURTH, FIFTH, SIXTH = "#101112", "#131415", "#161718", "#191a1b"
# Of several things that are compared, in their order.
COLORS = (FIRST, SECOND, THIRD, FOURTH, FIFTH, SIXTH)
PAGE_STYLES = {
    TEXT: "currentColor",
    MUTED: "var(--muted)",
    GRID: "var(--grid)",
    FIRST: "var(--first)",
    SECOND: "var(--second)",
    THIRD: "var(--third)",
    FOURTH: "var(--fourth)",
    FIFTH: "var(--fifth)",
    SIXTH: "var(--sixth)",
}
WIDTH_IN = 9.6


def new_figure(height_in: float, width_in: float = WIDTH_IN) -> "Figure":
    """Make a figure, of a page's width unless told otherwise; both in inches."""
    from matplotlib.figure import Figure

    # A figure without pyplot has no global state and needs no display.
    return Figure(figsize=(width_in, height_in), layout="constrained")


def calm(axes: "Axes") -> None:
    """Leave of an axis what helps reading."""
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(colors=MUTED, length=0, labelsize=9)


def to_svg(figure: "Figure", name: str, description: str) -> str:
    """Render as SVG without size, ids or colours of its own."""
    import matplotlib

    text = io.StringIO()
    # Text stays text, in the page's font; the salt keeps ids of two figures of a page apart.
    with (
        matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}),
        warnings.catch_warnings(),
    ):
        # The browser has the glyphs that matplotlib's own font lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    for color, style in PAGE_STYLES.items():
        svg = svg.replace(color, style)
    svg = re.sub(r' id="[\w.]+_\d+"', "", svg)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"'DejaVu Sans'[^;\"]*", "system-ui, sans-serif", svg)
    return re.sub(
        r'<svg [^>]*?(viewBox="[^"]*")[^>]*>',
        rf'<svg role="img" aria-label="{description}" \1 xmlns:xlink="http://www.w3.org/1999/xlink">',
        svg,
        count=1,
    )
