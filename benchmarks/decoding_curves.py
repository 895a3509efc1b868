"""Draw speed over word error rate, a curve a decoder, for benchmarks/decoding.py."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple, TypeVar

Item = TypeVar("Item")


class Point(NamedTuple):
    """What a decoder reached with one setting of its options."""

    group: str
    decoder: str
    per_second: float
    wer: float


def frontier(
    items: Iterable[Item], speed: Callable[[Item], float], wer: Callable[[Item], float]
) -> list[Item]:
    """Return what nothing else beats in both speed and error rate, the fastest first."""
    best: list[Item] = []
    for item in sorted(items, key=lambda i: (-speed(i), wer(i))):
        if not best or wer(item) < wer(best[-1]):
            best.append(item)
    return best


def draw(points: Iterable[Point], title: str, out: Path) -> None:
    """Draw every setting as a dot, and each decoder's best ones as a line; a panel a group."""
    import matplotlib.pyplot as plt

    by_group: dict[str, dict[str, list[Point]]] = defaultdict(lambda: defaultdict(list))
    for point in points:
        if point.group != "greedy":
            by_group[point.group][point.decoder].append(point)
    names = sorted({name for curves in by_group.values() for name in curves})
    colours = {name: f"C{i}" for i, name in enumerate(names)}
    figure, axes = plt.subplots(
        1, len(by_group), figsize=(5.4 * len(by_group), 4.6), layout="constrained", squeeze=False
    )
    for axis, (group, curves) in zip(axes[0], by_group.items(), strict=True):
        for name, members in sorted(curves.items()):
            line = frontier(members, lambda p: p.per_second, lambda p: p.wer)
            axis.plot(*coordinates(line), "o-", markersize=4, color=colours[name], label=name)
            axis.scatter(*coordinates(members), s=9, alpha=0.4, color=colours[name])
        axis.set(xscale="log", xlabel="utterances a second, one core", title=group)
        axis.set_ylabel("WER, %")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    figure.suptitle(title, fontsize=10)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=110)
    plt.close(figure)


def coordinates(points: Iterable[Point]) -> tuple[list[float], list[float]]:
    """Speeds and error rates in percent."""
    points = list(points)
    return [p.per_second for p in points], [100 * p.wer for p in points]
