"""The form of a transcription, for OpenAPI; it is read by hand: what is unknown is refused."""

from asr.server.parameters import FORMATS, GRANULARITIES, INCLUDES


def _text(description: str) -> dict[str, object]:
    return {"type": "string", "description": description}


def _several(values: tuple[str, ...], description: str) -> dict[str, object]:
    items = {"type": "string", "enum": list(values)}
    return {"type": "array", "items": items, "description": description}


_PROPERTIES = {
    "file": {"type": "string", "format": "binary", "description": "the recording"},
    "language": _text("code of the model's language"),
    "prompt": _text("words and phrases to listen for, with commas between them"),
    "response_format": {"type": "string", "enum": list(FORMATS), "default": "json"},
    "temperature": {"type": "number", "enum": [0]},
    "stream": {"type": "string", "enum": ["false"]},
    "lm": {"type": "string", "enum": ["true", "false"], "description": "use the language model"},
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


def describe_form(name: str) -> dict[str, object]:
    """Describe the form and the refusals of a server whose model has a name."""
    model = {"type": "string", "enum": [name], "description": "the name that /v1/models gives"}
    schema = {
        "type": "object",
        "properties": {"model": model} | _PROPERTIES,
        "required": ["file", "model"],
        "additionalProperties": False,
    }
    return {
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}},
        "responses": {status: {"description": why} for status, why in _ERRORS.items()},
    }
