"""Errors as OpenAI's clients read them."""

from collections.abc import Mapping

from starlette.responses import JSONResponse

from asr.files import printable

_KINDS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


class RequestError(Exception):
    """A request that is refused; the message says why in one line.

    Args:
        status: of HTTP.
        message: for the client; never logged, since it may quote what the client sent.
        code: a word for programs and logs.
        param: the parameter that is wrong.
        retry_after_s: seconds after which another try makes sense.
    """

    def __init__(
        self,
        status: int,
        message: str,
        code: str,
        param: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(printable(message))
        self.status = status
        self.code = code
        self.param = None if param is None else printable(param)
        self.retry_after_s = retry_after_s


def bad_parameter(param: str, message: str) -> RequestError:
    """Make the error of a parameter with a value that cannot be."""
    return RequestError(400, f"{param}: {message}", "invalid_value", param)


def error_record(error: RequestError) -> dict[str, object]:
    """JSON object of an error."""
    kind = "server_error" if error.status >= 500 else _KINDS.get(error.status)
    return {
        "error": {
            "message": str(error),
            "type": kind or "invalid_request_error",
            "param": error.param,
            "code": error.code,
        }
    }


def error_response(error: RequestError) -> JSONResponse:
    """Make the answer to a request that is refused."""
    headers: Mapping[str, str] = {}
    if error.retry_after_s is not None:
        headers = {"Retry-After": str(error.retry_after_s)}
    return JSONResponse(error_record(error), error.status, headers)
