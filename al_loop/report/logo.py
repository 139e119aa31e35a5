"""A sequence logo as SVG."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

from al_loop.system.numbers import significant

_WIDTH, _HEIGHT, _FOOT = 26.0, 130.0, 18.0
_CAP = 0.715  # height of a capital letter in its font size


def logo_svg(places: Sequence[Sequence[tuple[str, float]]]) -> Markup:
    """Return a logo: at each place the letters, tallest on top, as high as their information.

    Args:
        places: for each place the letters with their heights in bits, tallest first.
    """
    most = max((sum(height for _, height in place) for place in places), default=0.0) or 1.0
    width = _WIDTH * len(places) + 34
    parts = []
    for i, place in enumerate(places):
        y, x = _HEIGHT, 34 + _WIDTH * (i + 0.5)
        for letter, height in reversed(place):
            size = _HEIGHT * height / most
            if size < 0.5:
                continue
            scale = size / (_CAP * _WIDTH)
            shown = escape(letter)
            parts.append(
                f'<text class="l" data-l="{shown}" fill="currentColor" text-anchor="middle" font-weight="700" '
                f'font-size="{_WIDTH}" transform="translate({x:.1f} {y:.1f}) scale(1 {scale:.3f})">{shown}</text>'
            )
            y -= size
        parts.append(
            f'<text x="{x:.1f}" y="{_HEIGHT + 14}" text-anchor="middle" font-size="10" fill="currentColor">{i + 1}'
            "</text>"
        )
    axis = (
        f'<text x="2" y="12" font-size="10" fill="currentColor">{significant(most, 2)}</text>'
        f'<text x="2" y="24" font-size="10" fill="currentColor">bits</text>'
        f'<path d="M30 0V{_HEIGHT}" stroke="currentColor" opacity=".4"/>'
    )
    summary = " ".join(place[0][0] if place else "-" for place in places)
    return Markup(  # every text in it is escaped
        f'<svg class="logo" role="img" aria-label="Sequence logo; most frequent letters: {escape(summary)}" '
        f'viewBox="0 0 {width:.0f} {_HEIGHT + _FOOT:.0f}" width="{width:.0f}" '
        f'font-family="DejaVu Sans Mono, Menlo, monospace">{axis}{"".join(parts)}</svg>'
    )
