"""Fetching one file over https, whole or not at all."""

from __future__ import annotations

import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from bench.errors import EdgebenchError, UserError

# The largest build with TensorFlow's own ops is some 200 MB.
_MAX_BYTES = 1 << 30
_READ_S = 30.0
_BLOCK = 1 << 18

# Called with (bytes so far, bytes in all or None).
Progress = Callable[[int, int | None], None]


class DownloadFailed(EdgebenchError):
    """A file could not be fetched; the message says why, one line."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What the server said of the file. published: its Last-Modified, "" if not said."""

    url: str
    published: str


class _OnlyHttps(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage | Message,
        newurl: str,
    ) -> urllib.request.Request | None:
        if urlsplit(newurl).scheme != "https":
            raise DownloadFailed("the server sends us on to a place without https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def download(
    url: str, to: Path, *, context: ssl.SSLContext | None = None, progress: Progress | None = None
) -> Fetched:
    """Write what lies at a URL into the file `to`.

    Args:
        context: whom to trust; None for what the system trusts.
        progress: called after every block.

    Raises: UserError where the URL is no https one; DownloadFailed where it cannot be
    fetched whole; OSError where `to` cannot be written.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        raise UserError(f"{url}: not an https address")
    handlers = [urllib.request.HTTPSHandler(context=context), _OnlyHttps()]
    opener = urllib.request.build_opener(*handlers)
    try:
        with opener.open(url, timeout=_READ_S) as answer, to.open("wb") as file:
            length = answer.headers.get("Content-Length", "")
            whole = int(length) if length.isdigit() else None
            done = 0
            while block := answer.read(_BLOCK):
                file.write(block)
                done += len(block)
                if done > _MAX_BYTES:
                    raise DownloadFailed(f"larger than {_MAX_BYTES >> 20} MiB; this is no tool")
                if progress is not None:
                    progress(done, whole)
            published = answer.headers.get("Last-Modified", "")
    except urllib.error.HTTPError as error:
        raise DownloadFailed(f"the server answered {error.code} {error.reason}") from error
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError) as error:
        reason = getattr(error, "reason", error) or type(error).__name__
        raise DownloadFailed(f"no connection: {reason}") from error
    except ConnectionError as error:
        raise DownloadFailed(f"the connection broke: {error}") from error
    if done == 0 or (whole is not None and done != whole):
        raise DownloadFailed(f"incomplete: {done} of {whole or 'unknown'} bytes came")
    return Fetched(url, published)
