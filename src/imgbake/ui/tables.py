"""Plain text for people: aligned columns, durations, sizes and ages."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from imgbake.ui.colours import Style, paint
from imgbake.ui.visible import visible

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def table(
    rows: Sequence[Sequence[str]],
    header: Sequence[str] = (),
    *,
    right: Collection[int] = (),
    style: Callable[[str], Style] | None = None,
) -> str:
    """Rows as aligned columns, two spaces apart, without trailing spaces or a final newline.

    `right` names columns (from 0) that are aligned on the right, as numbers should be. `style`
    gives a cell's style by its text; pass it only where `colours.wanted`. The header is bold then.
    """
    lines = [[visible(cell) for cell in row] for row in ([header] if header else []) + list(rows)]
    widths = [max(map(cells, column)) for column in zip(*lines, strict=True)]
    text: list[str] = []
    for number, line in enumerate(lines):
        painted = [
            _cell(cell, width, index in right, _style_of(cell, style, bool(header) and number == 0))
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        text.append("  ".join(painted).rstrip())
    return "\n".join(text)


def cells(text: str) -> int:
    """How many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def duration(seconds: float) -> str:
    """A time span in the largest unit that fits and the next one: 0.04 s, 4.2 s, 2 min 5 s, 1 h 3 min."""
    seconds = max(0.0, seconds)
    if seconds < 0.995:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for unit, size, smaller, part in ((" d", 86400, " h", 3600), (" h", 3600, " min", 60)):
        if whole >= size:
            return f"{whole // size}{unit} {whole % size // part}{smaller}"
    return f"{whole // 60} min {whole % 60} s"


def age(seconds: float) -> str:
    """How long ago something was, in its largest unit: 12 s ago, 5 min ago, 3 h ago, 4 d ago."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return f"{int(seconds)} s ago" if seconds >= 1 else "just now"


def size(count: float) -> str:
    """A number of bytes in binary units (IEC 80000-13): 512 B, 1.5 KiB, 120 MiB."""
    value, unit = float(count), 0
    while value >= 1023.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.0f} {_UNITS[unit]}" if unit == 0 or value >= 99.95 else f"{value:.1f} {_UNITS[unit]}"


def _style_of(cell: str, style: Callable[[str], Style] | None, is_header: bool) -> Style:
    if style is None:
        return ""
    return "bold" if is_header else style(cell)


def _cell(text: str, width: int, right: bool, style: Style) -> str:
    space = " " * (width - cells(text))
    shown = paint(text, style)
    return space + shown if right else shown + space
