"""Values of a configuration against the types that a constructor wants: wrong ones by name."""

import inspect
import types
from collections.abc import Callable, Mapping
from typing import Literal, Union, get_args, get_origin, get_type_hints

from torch import Tensor

PLAIN = {int: "an integer", float: "a number", bool: "true or false", str: "a text"}
PLAIN[type(None)] = "null"


def wrong_type(target: Callable[..., object], values: Mapping[str, object]) -> str | None:
    """Say which of `values` a callable cannot take, with the rule; None where all are right.

    Only plain annotations count: numbers, texts, truth values, None, literals, unions of these.
    """
    hints = get_type_hints(target.__init__ if inspect.isclass(target) else target)
    for name, value in values.items():
        wanted = _alternatives(hints.get(name))
        if wanted and not any(_fits(value, kind) for kind in wanted):
            rule = " or ".join(map(_describe, wanted))
            return f"{name} must be {rule}, got {value!r}"
    return None


def _alternatives(hint: object) -> list[object]:
    """Plain kinds that a hint allows; none where it allows others, which a command may make."""
    origin = get_origin(hint)
    kinds = list(get_args(hint)) if origin in (Union, types.UnionType) else [hint]
    kinds = [kind for kind in kinds if kind is not Tensor]  # no configuration holds one
    return kinds if all(kind in PLAIN or _is_literal(kind) for kind in kinds) else []


def _is_literal(kind: object) -> bool:
    return get_origin(kind) is Literal


def _fits(value: object, kind: object) -> bool:
    if _is_literal(kind):
        return value in get_args(kind)
    if kind in (int, float):
        numbers = (int, float) if kind is float else int
        return isinstance(value, numbers) and not isinstance(value, bool)
    return isinstance(value, kind)  # type: ignore[arg-type]


def _describe(kind: object) -> str:
    if _is_literal(kind):
        return " or ".join(map(str, get_args(kind)))
    return PLAIN[kind]  # type: ignore[index]
