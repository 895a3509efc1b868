"""A request's form: the file goes to a temporary place, the fields stay."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from starlette.datastructures import UploadFile
from starlette.requests import Request

from asr.server.errors import RequestError
from asr.server.settings import MAX_FIELD_BYTES

MAX_FIELDS = 50


class Upload(NamedTuple):
    """A file and the fields beside it."""

    path: Path
    fields: list[tuple[str, str]]


@asynccontextmanager
async def receive_upload(request: Request, folder: Path) -> AsyncIterator[Upload]:
    """Read a form; the file is there for as long as the block lasts, in `folder`.

    Raises:
        RequestError: it is no form, or has not one file.
        starlette.exceptions.HTTPException: the form is malformed.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        raise RequestError(
            415, "content-type must be multipart/form-data", "unsupported_content_type"
        )
    path = folder / uuid4().hex
    try:
        form = await request.form(max_files=1, max_fields=MAX_FIELDS, max_part_size=MAX_FIELD_BYTES)
    except UnicodeError as error:
        raise RequestError(400, "the form's charset cannot be read", "bad_request") from error
    try:
        items = form.multi_items()
        uploads = [v for name, v in items if isinstance(v, UploadFile) and name == "file"]
        fields = [(name, v) for name, v in items if isinstance(v, str)]
        if len(uploads) != 1:
            raise RequestError(400, "file: is missing", "missing_parameter", "file")
        await asyncio.to_thread(_copy, uploads[0], path)
        yield Upload(path, fields)
    finally:
        path.unlink(missing_ok=True)
        await form.close()


def _copy(upload: UploadFile, path: Path) -> None:
    with path.open("xb") as file:
        shutil.copyfileobj(upload.file, file)
