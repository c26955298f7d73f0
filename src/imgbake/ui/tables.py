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
    lines = ([header] if header else []) + list(rows)
    columns = []
    for index, column in enumerate(zip(*lines, strict=True)):
        found = _shown(column)
        styles: list[Style] = [style(cell) if style else "" for cell in found]
        if style and header:
            styles[0] = "bold"
        columns.append(_aligned(found, styles, index in right))
    return "\n".join("  ".join(line).rstrip() for line in zip(*columns, strict=True))


def cells(text: str) -> int:
    """How many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def counted(number: int, one: str, several: str) -> str:
    """So many things: 1 blob, 2 blobs."""
    return f"{number} {one if number == 1 else several}"


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


def _shown(column: Sequence[str]) -> Sequence[str]:
    return column if "".join(column).isprintable() else [visible(cell) for cell in column]


def _aligned(column: Sequence[str], styles: Sequence[Style], right: bool) -> list[str]:
    """The cells of a column, all of one width. There may be thousands, and mostly they are plain."""
    sizes = list(map(len if "".join(column).isascii() else cells, column))
    width = max(sizes)
    spaces = (" " * (width - size) for size in sizes)
    shown = map(paint, column, styles) if any(styles) else column
    return [space + text if right else text + space for text, space in zip(shown, spaces, strict=True)]
