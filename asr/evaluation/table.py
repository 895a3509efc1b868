"""Rows of cells laid out as a table of plain text or of Markdown."""

from collections.abc import Sequence


def format_table(
    rows: Sequence[Sequence[str]], *, left: Sequence[int] = (0,), markdown: bool = False
) -> str:
    """Lay out rows of as many cells each, the first of which is the header.

    Args:
        rows: at least the header.
        left: columns that are aligned left; numbers in the others are aligned right.
        markdown: whether to draw the table's lines as Markdown does.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        [
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in rows
    ]
    if not markdown:
        lines.insert(1, ["-" * width for width in widths])
        return "".join(f"{'  '.join(line).rstrip()}\n" for line in lines)
    ends = ["-" if column in left else ":" for column in range(len(widths))]
    lines.insert(1, ["-" * (width - 1) + end for width, end in zip(widths, ends, strict=True)])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
