"""The form of a transcription, for OpenAPI; it is read by hand: what is unknown is refused."""

from asr.server.parameters import FORMATS, GRANULARITIES, INCLUDES


def _text(description: str) -> dict[str, object]:
    return {"type": "string", "description": description}


def _several(values: tuple[str, ...], description: str) -> dict[str, object]:
    items = {"type": "string", "enum": list(values)}
    return {"type": "array", "items": items, "description": description}


_PROPERTIES = {
    "file": {"type": "string", "format": "binary", "description": "the recording"},
    "prompt": _text("words and phrases to listen for, with commas between them"),
    "response_format": {"type": "string", "enum": list(FORMATS), "default": "json"},
    "temperature": {"type": "number", "enum": [0]},
    "stream": {"type": "string", "enum": ["false"]},
    "timestamp_granularities[]": _several(GRANULARITIES, "times in verbose_json"),
    "include[]": _several(INCLUDES, "more in verbose_json"),
}
_ERRORS = {
    "400": "a parameter or the recording cannot be used",
    "401": "the token is missing or wrong",
    "404": "another model",
    "408": "the body took too long",
    "413": "too large",
    "415": "no form",
    "429": "too many requests a minute",
    "503": "all places are taken; Retry-After says when to come back",
}


def describe_form(name: str, language: str | None, *, has_lm: bool) -> dict[str, object]:
    """Describe the form and the refusals of a server.

    Args:
        name: of its model.
        language: code of the model's language, where that is known.
        has_lm: whether there is a language model to choose.
    """
    code = {"enum": [language]} if language else {"pattern": "^[a-z]{2,20}$"}
    served = {
        "model": {"enum": [name], "description": "the name that /v1/models gives"},
        "language": {**code, "description": "code of the model's language"},
        "lm": {
            "enum": ["true", "false"] if has_lm else ["false"],
            "description": "use the language model",
        },
    }
    schema = {
        "type": "object",
        "properties": {key: {"type": "string", **what} for key, what in served.items()}
        | _PROPERTIES,
        "required": ["file", "model"],
        "additionalProperties": False,
    }
    return {
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}},
        "responses": {status: {"description": why} for status, why in _ERRORS.items()},
    }
