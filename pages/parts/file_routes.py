"""Media in and out of job folders, past Streamlit: in blocks, from and to disk, never whole in memory.

Streamlit keeps uploads and media that it serves in memory. These routes stream instead, answer range requests (so that
a player can seek) and give a download its name. Whoever knows a job's unguessable id may watch it, as on its page;
only the browser that opened a draft may put files into it.
"""

import logging
import mimetypes
import re
from collections.abc import Iterator
from pathlib import Path

import anyio.from_thread
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from latentsync_core.errors import LipSyncError
from pages.parts.owner import COOKIE_NAME, is_owner_token
from pages.parts.service import playable_file, queue, settings
from pages.parts.words import download_name
from worker.errors import JobNotFound, NotTheOwner, QuotaExceeded, UploadTooLarge
from worker.job import JOB_ID_PATTERN
from worker.job_folder import JobFolder, UploadKind

logger = logging.getLogger(__name__)

UPLOAD_KINDS: tuple[UploadKind, ...] = ("video", "audio")
CACHE_SECONDS = 600
UNFIT = 422  # HTTP status of a file that is not what was asked for
_STATUS = {JobNotFound: 404, NotTheOwner: 403, QuotaExceeded: 507, UploadTooLarge: 413}


def file_routes() -> list[Route]:
    """Give the routes under /files."""
    return [
        Route("/files/{job_id}/segments/{index:int}", send_segment, methods=["GET"]),
        Route("/files/{job_id}/{what}", send_file, methods=["GET"]),
        Route("/files/{job_id}/{kind}", receive_upload, methods=["PUT"]),
    ]


async def send_file(request: Request) -> Response:
    """Send `result`, `download` (the result as an attachment), `video` or `audio` (playable inputs) or `thumbnail`."""
    folder = _folder(request)
    what = request.path_params["what"]
    if what == "download":
        facts = await run_in_threadpool(folder.input_facts, "video")
        return _media_response(folder.result, download_name(facts.name if facts else ""))
    if what == "result":
        return _media_response(folder.result)
    if what == "thumbnail":
        return _media_response(await run_in_threadpool(folder.thumbnail))
    if what in UPLOAD_KINDS:
        return _media_response(await run_in_threadpool(_playable, folder, what))
    raise HTTPException(404)


async def send_segment(request: Request) -> Response:
    """Send a finished piece of a running job, to be watched while the rest is computed."""
    segments = await run_in_threadpool(lambda: _folder(request).segments)
    index = request.path_params["index"]
    return _media_response(segments[index] if index < len(segments) else None)


async def receive_upload(request: Request) -> Response:
    """Take a file into a draft, block by block; answers 204, or JSON {"message": why not, in plain words}."""
    kind, owner = request.path_params["kind"], request.cookies.get(COOKIE_NAME)
    if kind not in UPLOAD_KINDS:
        raise HTTPException(404)
    if owner is None or not is_owner_token(owner):
        return _refusal(403, "Your browser sends no cookie. Please allow cookies for this page and reload it.")
    limit = settings().max_upload_bytes
    if int(request.headers.get("content-length") or 0) > limit:
        return _refusal(413, f"This file is too large: at most {limit // 2**20} MB are accepted.")
    name = request.query_params.get("name", "")

    def save() -> None:
        queue().save_upload(_job_id(request), owner, kind, _blocks(request), name)

    try:
        await run_in_threadpool(save)
    except LipSyncError as error:
        status = _STATUS.get(type(error), UNFIT)
        return _refusal(status, f"{error} Please choose another file." if status == UNFIT else str(error))
    except ClientDisconnect:
        logger.info("An upload was broken off")
        return Response(status_code=499)
    return Response(status_code=204)


def _blocks(request: Request) -> Iterator[bytes]:
    """Give a request's body block by block to a thread."""
    stream = request.stream()

    async def next_block() -> bytes:
        return await anext(stream, b"")

    while block := anyio.from_thread.run(next_block):
        yield block


def _playable(folder: JobFolder, kind: UploadKind) -> Path | None:
    facts = folder.input_facts(kind)
    return playable_file(folder.job_id, kind, facts) if facts else None


def _job_id(request: Request) -> str:
    job_id = request.path_params["job_id"]
    if not re.fullmatch(JOB_ID_PATTERN, job_id):
        raise HTTPException(404)
    return job_id


def _folder(request: Request) -> JobFolder:
    return JobFolder(_job_id(request), settings())


def _media_response(path: Path | None, attachment_name: str | None = None) -> Response:
    if path is None or not path.is_file():
        raise HTTPException(404)
    media_type = mimetypes.guess_type(path.name)[0] or ""
    if not media_type.startswith(("video/", "audio/", "image/")):
        media_type = "application/octet-stream"  # nothing that was uploaded may ever run in the page
    headers = {
        "Cache-Control": f"private, max-age={CACHE_SECONDS}",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'",
    }
    return FileResponse(path, media_type=media_type, filename=attachment_name, headers=headers)


def _refusal(status: int, message: str) -> JSONResponse:
    return JSONResponse({"message": message}, status_code=status)
