"""Starting from another model: what fits is taken, the rest stays as it was drawn.

Parts of a network are named as its parameters are: "convs" is every parameter whose name is that or
begins with "convs.".
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar, cast

from torch import Tensor, nn

from asr.acoustic.model import AcousticModel
from asr.models import ClipNetwork
from asr.text import spelling

# Where a network of clips has that of frames.
_BODY = "body."
_T = TypeVar("_T")


class Inherited(NamedTuple):
    """What a model took from another."""

    taken: list[str]  # names of tensors
    new: list[str]
    known_tokens: list[str]  # whose scores the other model knew
    new_tokens: list[str]
    recased: list[str]  # known tokens that the other model had in the other case

    def lines(self) -> list[str]:
        """Describe it, a line each."""
        lines = [f"taken: {len(self.taken)} tensors ({_parts(self.taken)})"]
        case = f" ({len(self.recased)} in the other case)" if self.recased else ""
        lines.append(f"tokens: {len(self.known_tokens)} known{case}, {len(self.new_tokens)} new")
        if self.new_tokens:
            lines[-1] += f": {' '.join(map(repr, self.new_tokens))}"
        if self.new:
            lines.append(f"new: {len(self.new)} tensors ({_parts(self.new)})")
        return lines


def inherit(model: AcousticModel, source: AcousticModel) -> Inherited:
    """Copy the weights of `source` that fit into `model`, in place.

    A tensor fits that has the same name and shape; a network of frames and the body of one of clips
    are the same. Rows of the layers that score tokens or characters go by these: another alphabet
    keeps those it shares, a letter that the other model has in the other case alone included.

    Raises:
        ValueError: nothing but scores of tokens fits.
    """
    ours, tokens = model.network.state_dict(), _tokens_by_layer(model)
    body, their_body = (_BODY * isinstance(m.network, ClipNetwork) for m in (model, source))
    theirs = _move(source.network.state_dict(), their_body, body)
    their_tokens = _move(_tokens_by_layer(source), their_body, body)
    scores = {f"{layer}.{name}": layer for layer in tokens for name in ("weight", "bias")}
    taken = [
        name
        for name, value in ours.items()
        if name not in scores and name in theirs and theirs[name].shape == value.shape
    ]
    if not taken:
        raise ValueError(
            f"nothing of it fits: it is a {_describe(source)}, this is a {_describe(model)}"
        )
    for name in taken:
        ours[name].copy_(theirs[name])
    known = {
        name
        for name, layer in scores.items()
        if name in theirs
        and _copy_rows(ours[name], theirs[name], tokens[layer], their_tokens[layer])
    }
    own, theirs_own = model.tokenizer.tokens, source.tokenizer.tokens
    is_known = f"{model.network.class_layer}.weight" in known
    shared = _match_tokens(own, theirs_own) if is_known else {}
    return Inherited(
        [*taken, *sorted(known)],
        [name for name in ours if name not in taken and name not in known],
        [token for row, token in enumerate(own) if row in shared],
        [token for row, token in enumerate(own) if row not in shared],
        [own[row] for row, place in shared.items() if own[row] != theirs_own[place]],
    )


def _describe(model: AcousticModel) -> str:
    return f"{type(model.network).__name__} ({_parts(model.network.state_dict())})"


def _move(named: Mapping[str, _T], place: str, target: str) -> dict[str, _T]:
    """Name what is below one part of a network as if it were below another."""
    if place == target:
        return dict(named)
    return {target + name.removeprefix(place): value for name, value in named.items()}


def _match_tokens(tokens: Sequence[str], their_tokens: Sequence[str]) -> dict[int, int]:
    """Rows of known tokens, with those that they had."""
    places = {token: row for row, token in enumerate(their_tokens)}
    found = [places.get(token, places.get(token.swapcase())) for token in tokens]
    return {row: place for row, place in enumerate(found) if place is not None}


def _tokens_by_layer(model: AcousticModel) -> dict[str, list[str]]:
    """Layers whose rows are tokens, and these: of the output, and of the intermediate layer."""
    layers = {model.network.class_layer: model.tokenizer.tokens}
    modules = cast(nn.Module, model.network).named_modules()
    for name, module in modules:
        if module is model.network.intermediate:
            layers[f"{name}.linear"] = spelling(model.tokenizer).tokens
    return layers


def freeze(network: nn.Module, parts: Sequence[str]) -> list[nn.Module]:
    """Keep parts of a network from learning.

    Returns:
        The modules without a parameter that learns: they run as in evaluation, so that dropout
        and statistics of a batch leave them alone.

    Raises:
        ValueError: no parameter belongs to one of `parts`, or all belong.
    """
    _check_parts("freeze", network, parts)
    for name, parameter in network.named_parameters():
        if any(_is_in(name, part) for part in parts):
            parameter.requires_grad_(False)
    if not any(p.requires_grad for p in network.parameters()):
        raise ValueError(f"freeze={list(parts)} leaves nothing that learns")
    return [
        module
        for module in network.modules()
        if (own := list(module.parameters())) and not any(p.requires_grad for p in own)
    ]


def parameter_groups(network: nn.Module, factors: Mapping[str, float]) -> list[dict]:
    """Group the parameters that learn for an optimizer.

    Args:
        network: whose parameters.
        factors: of the learning rate, > 0, by part; the longest name that fits counts, and 1 where
            none does.

    Returns:
        Groups with the keys "params" and "factor".

    Raises:
        ValueError: a factor is not > 0, or no parameter belongs to its part.
    """
    _check_parts("rate_factors", network, factors)
    for part, factor in factors.items():
        if not factor > 0:
            raise ValueError(f"rate_factors.{part} must be > 0, got {factor}; to keep it: freeze")
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            fitting = [part for part in factors if _is_in(name, part)]
            factor = factors[max(fitting, key=len)] if fitting else 1.0
            groups.setdefault(factor, []).append(parameter)
    return [{"params": params, "factor": factor} for factor, params in groups.items()]


def _copy_rows(
    ours: Tensor, theirs: Tensor, tokens: Sequence[str], their_tokens: Sequence[str]
) -> bool:
    """Copy scores of common tokens; False where layers differ in more than their tokens."""
    num, num_theirs = len(tokens), len(their_tokens)
    if ours.shape[1:] != theirs.shape[1:] or len(ours) // num != len(theirs) // num_theirs:
        return False
    # A layer may score several frames: (R C, ...) with all classes of a frame together.
    ours = ours.view(-1, num, *ours.shape[1:])  # (R, C, ...)
    theirs = theirs.view(-1, num_theirs, *theirs.shape[1:])  # (R, C', ...)
    shared = _match_tokens(tokens, their_tokens)
    ours[:, list(shared)] = theirs[:, list(shared.values())].to(ours)
    return True


def _is_in(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}.")


def _check_parts(option: str, network: nn.Module, parts: Iterable[str]) -> None:
    names = [name for name, _ in network.named_parameters()]
    for part in parts:
        if not any(_is_in(name, part) for name in names):
            raise ValueError(
                f"{option}: the network has no part {part!r}; its parts are {_parts(names)}, "
                f"and within them names such as {names[0]}"
            )


def _parts(names: Iterable[str]) -> str:
    """First words of names, in order."""
    return ", ".join(dict.fromkeys(name.partition(".")[0] for name in names))
