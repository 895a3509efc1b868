"""The parameters of a transcription, as OpenAI's clients send them; what is unknown is refused."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from asr.server.decoders import Choice, Decoders
from asr.server.errors import RequestError, bad_parameter
from asr.server.settings import Settings

FORMATS = ("json", "text", "srt", "vtt", "verbose_json")
GRANULARITIES = ("word", "segment")
# Beyond OpenAI's: more in verbose_json.
INCLUDES = ("alternatives", "srt", "vtt")
MAX_HOTWORDS = 100
# Readings that the alternatives of words come from.
N_BEST = 20
_LISTS = ("timestamp_granularities[]", "include[]")
_KNOWN = (
    *("model", "language", "prompt", "response_format", "temperature", "stream", "lm"),
    *_LISTS,
)


@dataclass(frozen=True)
class Parameters:
    """What a request asks for.

    Attributes:
        response_format: one of `FORMATS`.
        granularities: of times in verbose_json.
        include: of `INCLUDES`.
        language: that of the model, or what the client says where the model does not know its own.
        choice: of the decoder.
    """

    response_format: str
    granularities: frozenset[str]
    include: frozenset[str]
    language: str
    choice: Choice


def read_parameters(
    fields: Sequence[tuple[str, str]], settings: Settings, decoders: Decoders, language: str | None
) -> Parameters:
    """Check the fields of a form.

    Args:
        fields: names and values, without the file.
        settings: of the server.
        decoders: what there is to choose from.
        language: of the model, where that is known.

    Raises:
        RequestError: a field is unknown, twice there, or has a value that cannot be.
    """
    single, several = _sort(fields)
    _check_model(single.get("model"), settings.name)
    _check_fixed(single)
    style = _one_of(single, "response_format", FORMATS, "json")
    include = _several_of(several, "include[]", INCLUDES)
    granularities = _several_of(several, "timestamp_granularities[]", GRANULARITIES)
    for name, values in (("include[]", include), ("timestamp_granularities[]", granularities)):
        if values and style != "verbose_json":
            raise bad_parameter(name, "needs response_format=verbose_json")
    return Parameters(
        style,
        granularities or frozenset({"segment"}),
        include,
        _language(single.get("language"), language),
        Choice(
            _lm(single.get("lm"), decoders),
            _hotwords(single.get("prompt", "")),
            N_BEST if "alternatives" in include else 1,
        ),
    )


def _sort(fields: Sequence[tuple[str, str]]) -> tuple[dict[str, str], dict[str, list[str]]]:
    single: dict[str, str] = {}
    several: dict[str, list[str]] = {}
    for name, value in fields:
        if name not in _KNOWN:
            shown = name if len(name) < 60 else name[:57] + "..."
            raise RequestError(
                400, f"unknown parameter {shown!r}; known: file, {', '.join(_KNOWN)}",
                "unknown_parameter", shown,
            )  # fmt: skip
        if name in _LISTS:
            several.setdefault(name, []).append(value)
        elif name in single:
            raise bad_parameter(name, "is there twice")
        else:
            single[name] = value
    return single, several


def _check_model(name: str | None, served: str) -> None:
    if name is None:
        raise RequestError(400, "model: is missing", "missing_parameter", "model")
    if name != served:
        raise RequestError(
            404, f"model: this server has {served!r} alone", "model_not_found", "model"
        )


def _check_fixed(single: dict[str, str]) -> None:
    """Refuse values of parameters that a client may send and this decoder has no use for."""
    try:
        is_cold = float(single.get("temperature", "0")) == 0
    except ValueError:
        is_cold = False
    if not is_cold:
        raise bad_parameter("temperature", "must be 0, nothing here is drawn at random")
    if _flag(single, "stream"):
        raise bad_parameter("stream", "must be false; /v1/stream takes live audio")


def _flag(single: dict[str, str], name: str) -> bool:
    value = single.get(name, "false").lower()
    if value not in ("true", "false"):
        raise bad_parameter(name, "must be true or false")
    return value == "true"


def _one_of(single: dict[str, str], name: str, values: Sequence[str], default: str) -> str:
    value = single.get(name, default)
    if value not in values:
        raise bad_parameter(name, f"must be one of {', '.join(values)}")
    return value


def _several_of(several: dict[str, list[str]], name: str, values: Sequence[str]) -> frozenset[str]:
    for value in several.get(name, []):
        if value not in values:
            raise bad_parameter(name, f"must be of {', '.join(values)}")
    return frozenset(several.get(name, []))


def _language(asked: str | None, known: str | None) -> str:
    if asked is not None and known is not None and asked != known:
        raise bad_parameter("language", f"this model's is {known}")
    if asked is not None and not (asked.isascii() and 2 <= len(asked) <= 20):
        raise bad_parameter("language", "must be a code such as en")
    return known or asked or "unknown"


def _lm(value: str | None, decoders: Decoders) -> bool:
    if value is None:
        return decoders.has_lm
    asked = _flag({"lm": value}, "lm")
    if asked and not decoders.has_lm:
        raise bad_parameter("lm", "this server has no language model")
    return asked


def _hotwords(prompt: str) -> tuple[str, ...]:
    """Take a prompt for words and phrases to listen for, with commas between them."""
    clean: Callable[[str], str] = lambda phrase: " ".join(phrase.split())  # noqa: E731
    phrases = tuple(dict.fromkeys(filter(None, map(clean, prompt.split(",")))))
    if len(phrases) > MAX_HOTWORDS:
        raise bad_parameter("prompt", f"must be at most {MAX_HOTWORDS} phrases")
    return phrases
