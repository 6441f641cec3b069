"""Gets a model's files from Hugging Face's hub: resumed after a cut, checked, whole under its name.

`huggingface_hub` finds the file, its size and its hash, and brings the session with the user's
endpoint, token and proxies (HF_ENDPOINT, HF_TOKEN, HF_HOME). Its own transfer checks no hash over
HTTP, cannot be cancelled and reports in steps of 10 MiB, so the transfer is here.

Redirects are followed here, to hosts that the settings allow (`engine.models.hosts`).

The wire: a HEAD of `/{repository}/resolve/{revision}/{file}` answers with X-Repo-Commit,
X-Linked-Size and X-Linked-Etag (a large file's sha256) and a redirect to a store of bytes, which
understands ranges.
"""

from __future__ import annotations

import fcntl
import functools
import glob
import hashlib
import logging
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from engine.errors import BabelbrookError
from engine.models import hashes, split
from engine.models.catalogue import Source
from engine.models.hosts import Hosts

if TYPE_CHECKING:
    import httpx

logger = logging.getLogger("babelbrook.models")
T = TypeVar("T")

# Called with the bytes that are there and those of the whole file; from the thread of `fetch`.
Report = Callable[[int, int], None]

_CHUNK = 1 << 20  # bytes that are read from disk at a time
_SPARE = 64 << 20  # bytes of disk to leave free
_ATTEMPTS = 5  # in a row that bring nothing
_FIRST_WAIT = 1.0  # seconds after the first of them; doubled with each
_MOST_REDIRECTS = 5
_LONGEST_WAIT = 60.0  # seconds that a Retry-After may ask for
_PASSING = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}


class DownloadError(BabelbrookError):
    """A file could not be had; the sentence says why and what to do."""

    status = 502
    code = "download_failed"


class Cancelled(Exception):
    """The download was told to stop; what has come so far is kept for the next one."""


class _Passing(Exception):
    """What may go better next time: a cut, a stall, a server that is busy."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after  # seconds


@dataclass(frozen=True, slots=True)
class _Found:
    """The file as the hub knows it. `commit` pins it, whatever happens to its branch meanwhile."""

    commit: str
    size: int
    sha256: str | None
    tag: str  # names the content

    def part(self, target: Path) -> Path:
        """Where what has come so far lies: beside the target, and for this content only."""
        return target.with_name(f"{target.name}.{self.tag[:16]}.part")


def fetch(
    source: Source,
    target: Path,
    report: Report,
    stop: threading.Event,
    hosts: Sequence[str] = (),
) -> None:
    """Download `source` to `target`; returns when all of it is there and has been checked.

    Blocks. Where some of it lies there from before, it goes on behind that. The hub may send us on
    to `hosts`, too (see `Hosts`). Raises Cancelled soon after `stop` is set, and DownloadError.
    """
    names = zip(source.files, split.paths(target), strict=True)
    files = [_File(source, file, path, hosts) for file, path in names]
    for file in files:
        file.look_up(stop)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for file in files:
            file.clear_old_parts()
        _check_disk(target, sum(file.missing for file in files))
        before, total = 0, sum(file.found.size for file in files)
        for file in files:
            file.bring(functools.partial(_report_behind, report, before, total), stop)
            before += file.found.size
    except OSError as error:
        raise DownloadError(
            f"{target} cannot be written: {error.strerror or error}. What has come so far is kept;"
            " mend that and start the download again."
        ) from None


def _report_behind(report: Report, before: int, total: int, done: int, _: int) -> None:
    report(before + done, total)


def unfinished(target: Path) -> list[Path]:
    """What downloads of a file that did not come to their end have left."""
    return list(target.parent.glob(f"{glob.escape(target.name)}.*.part"))


class _File:
    """One file of a model: `name` in the source's repository, to lie at `target`."""

    def __init__(self, source: Source, name: str, target: Path, hosts: Sequence[str]) -> None:
        self._source = source.model_copy(update={"file": name})
        self._target, self._hosts = target, hosts

    def look_up(self, stop: threading.Event) -> None:
        """Ask the hub about it. Raises Cancelled and DownloadError."""
        self._patience = _Patience(self._source, stop)
        self.found = self._patience.retry(lambda: _look_up(self._source))
        _check_pins(self._source, self.found)

    @property
    def missing(self) -> int:
        """Bytes that are still to come."""
        for there in (self._target, self.found.part(self._target)):
            if there.exists():
                return max(0, self.found.size - there.stat().st_size)
        return self.found.size

    def clear_old_parts(self) -> None:
        """Parts of another version of the file are of no use to anyone."""
        for path in unfinished(self._target):
            if path != self.found.part(self._target):
                path.unlink(missing_ok=True)

    def bring(self, report: Report, stop: threading.Event) -> None:
        """Raises Cancelled, DownloadError and OSError."""
        target, found = self._target, self.found
        if target.exists():
            report(found.size, found.size)
            return
        with _locked(found.part(target)) as part:
            if target.exists():  # another process has brought it
                found.part(target).unlink()
                return
            transfer = _Transfer(self._source, found, part, report, stop, self._hosts)
            transfer.take_over()
            sha256 = transfer.run(self._patience)
            part.flush()
            os.fsync(part.fileno())
            # Before the file itself: a file that is there is one whose hash is known.
            hashes.note(target, sha256)
            found.part(target).replace(target)


class _Patience:
    """Tries again what may go better next time, until several tries in a row brought nothing."""

    def __init__(self, source: Source, stop: threading.Event) -> None:
        self._source, self._stop = source, stop
        self.failures = 0

    def retry(self, attempt: Callable[[], T]) -> T:
        """The result of `attempt`. Raises Cancelled and DownloadError."""
        while True:
            if self._stop.is_set():
                raise Cancelled
            try:
                return attempt()
            except _Passing as problem:
                self._wait(problem)

    def _wait(self, problem: _Passing) -> None:
        wait = _FIRST_WAIT * 2**self.failures
        self.failures += 1
        if problem.retry_after is not None:
            wait = max(wait, problem.retry_after)
        if self.failures >= _ATTEMPTS or wait > _LONGEST_WAIT:
            raise DownloadError(
                f"The download of {self._source.file} from {self._source.repository} failed:"
                f" {problem}. What has come so far is kept; try again later."
            )
        logger.info("%s: %s. Trying again in %g s.", self._source.file, problem, wait)
        if self._stop.wait(wait):
            raise Cancelled


def _look_up(source: Source) -> _Found:
    """Ask the hub about the file. Raises _Passing and DownloadError."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    url = hf_hub_url(source.repository, source.file, revision=source.revision)
    with _hub_errors(source):
        metadata = get_hf_file_metadata(url)
    if metadata.size is None or not metadata.commit_hash or not metadata.etag:
        raise DownloadError(
            f"{url} does not answer as a hub of Hugging Face does. Is HF_ENDPOINT right?"
        )
    etag = metadata.etag
    sha256 = etag if re.fullmatch("[0-9a-f]{64}", etag) else source.sha256
    tag = re.sub(r"[^0-9A-Za-z]", "", etag)
    return _Found(metadata.commit_hash, metadata.size, sha256, tag)


def _check_pins(source: Source, found: _Found) -> None:
    """Raises DownloadError where the hub has another file than the entry means."""
    for name, wanted, there in (
        ("size", source.size, found.size),
        ("sha256", source.sha256, found.sha256),
    ):
        if wanted is not None and wanted != there:
            raise DownloadError(
                f"{source.repository} has another {source.file} at {source.revision} than the"
                f" model's entry: its {name} is {there}, not {wanted}. Change the entry to have it."
            )


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    """The part, open for reading and writing. Raises DownloadError where another has it."""
    with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DownloadError(
                f"Another process is downloading {path.name} already. Wait for it, or end it."
            ) from None
        yield file


def _check_disk(target: Path, missing: int) -> None:
    free = shutil.disk_usage(target.parent).free
    if missing + _SPARE > free:
        raise DownloadError(
            f"{target.name} needs {missing:,} more bytes of disk and {_SPARE:,} to spare, but"
            f" {free:,} are free. Free some, or set models.folder to another disk."
        )


class _Transfer:
    """Fills `part` up to the whole file. `have` bytes of it are there and hashed."""

    def __init__(
        self,
        source: Source,
        found: _Found,
        part: BinaryIO,
        report: Report,
        stop: threading.Event,
        hosts: Sequence[str],
    ) -> None:
        self._source, self._found, self._part = source, found, part
        self._report, self._stop, self._hosts = report, stop, hosts
        self.have = 0
        self._farthest = 0
        self._hash = hashlib.sha256()

    def run(self, patience: _Patience) -> str:
        """Returns the sha256 of the whole. Raises Cancelled, DownloadError and OSError."""
        while self.have < self._found.size:
            patience.retry(lambda: self._attempt(patience))
        sha256 = self._hash.hexdigest()
        if self._found.sha256 is not None and sha256 != self._found.sha256:
            self._restart()
            raise DownloadError(
                f"{self._source.file} did not arrive as the hub has it (its sha256 is {sha256}, not"
                f" {self._found.sha256}) and was thrown away. Try again; where that repeats itself,"
                " something on the way changes it."
            )
        return sha256

    def take_over(self) -> None:
        """Hash what came earlier."""
        self._part.seek(0)
        while chunk := self._part.read(_CHUNK):
            self._hash.update(chunk)
            self.have += len(chunk)
            if self._stop.is_set():
                raise Cancelled
        if self.have > self._found.size:
            self._restart()
        self._farthest = self.have
        self._report(self.have, self._found.size)

    def _restart(self) -> None:
        self._part.seek(0)
        self._part.truncate()
        self.have = 0
        self._hash = hashlib.sha256()

    def _attempt(self, patience: _Patience) -> None:
        """One request for the rest. Raises _Passing where it brought less, and Cancelled."""
        from huggingface_hub import hf_hub_url, hf_raise_for_status
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

        url = hf_hub_url(self._source.repository, self._source.file, revision=self._found.commit)
        headers = build_hf_headers() | {"Accept-Encoding": "identity"}
        if self.have:
            headers["Range"] = f"bytes={self.have}-"
        with _hub_errors(self._source), self._opened(url, headers) as response:
            if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                self._restart()
                raise _Passing("the store refused to go on behind what is there")
            hf_raise_for_status(response)
            self._check_place(response)
            self._part.seek(self.have)
            for chunk in response.iter_bytes():
                self._take(chunk)
                if self.have > self._farthest:  # what is had a second time is no progress
                    self._farthest, patience.failures = self.have, 0
        if self.have < self._found.size:
            raise _Passing("the store stopped before the end")

    @contextmanager
    def _opened(self, url: str, headers: dict[str, str]) -> Iterator[httpx.Response]:
        """The answer to a GET, at the end of all redirects. Raises DownloadError."""
        import httpx
        from huggingface_hub import constants, get_session

        session, hosts = get_session(), Hosts(self._hosts, constants.ENDPOINT)
        timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
        request = session.build_request("GET", url, headers=headers, timeout=timeout)
        for _ in range(_MOST_REDIRECTS + 1):
            if not hosts.allow(request.url):
                raise self._sent_elsewhere(request.url)
            response = session.send(request, stream=True, follow_redirects=False)
            try:
                if response.next_request is None:
                    yield response
                    return
                request = response.next_request  # without the token, where the host is another one
            finally:
                response.close()
        raise httpx.TooManyRedirects("", request=request)

    def _sent_elsewhere(self, url: httpx.URL) -> DownloadError:
        return DownloadError(
            f"The hub sends the download of {self._source.file} on to {url.scheme}://{url.host},"
            " which is none of its own hosts nor of models.hosts, so nothing was asked for there."
            " If your hub keeps its files there, put the host into that setting."
        )

    def _check_place(self, response: httpx.Response) -> None:
        """Whether what comes now goes on where we are; if it is the whole file, start anew."""
        if not self.have:
            return
        if response.status_code == HTTPStatus.OK:
            self._restart()
        elif not response.headers.get("Content-Range", "").startswith(f"bytes {self.have}-"):
            self._restart()
            raise _Passing("the store sent another part than was asked for")

    def _take(self, chunk: bytes) -> None:
        if self._stop.is_set():
            raise Cancelled
        if self.have + len(chunk) > self._found.size:
            self._restart()
            raise DownloadError(
                f"{self._source.file} is longer than the {self._found.size:,} bytes that the hub"
                " told, and was thrown away. Try again later."
            )
        self._part.write(chunk)
        self._hash.update(chunk)
        self.have += len(chunk)
        self._report(self.have, self._found.size)


@contextmanager
def _hub_errors(source: Source) -> Iterator[None]:
    """Turns what the hub and the network can do into _Passing or a DownloadError."""
    import httpx
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    page = f"{constants.ENDPOINT}/{source.repository}"
    try:
        yield
    except GatedRepoError:
        raise DownloadError(
            f"{source.repository} wants its terms accepted: accept them at {page} and give a token"
            " of your account in HF_TOKEN."
        ) from None
    except RepositoryNotFoundError:
        raise DownloadError(
            f"The hub shows no repository {source.repository}: the name is wrong, or it is private."
            f" Look at {page}, and give a token that may read it in HF_TOKEN."
        ) from None
    except (EntryNotFoundError, RevisionNotFoundError):
        raise DownloadError(
            f"{source.repository} has no file {source.file} at {source.revision}. Look at {page}."
        ) from None
    except OfflineModeIsEnabled:
        raise DownloadError("Nothing is downloaded while HF_HUB_OFFLINE is set.") from None
    except HfHubHTTPError as error:
        raise _told(error.response.status_code, error.response.headers, source) from None
    except httpx.TooManyRedirects:
        raise DownloadError(
            f"The hub sends whoever asks for {source.file} of {source.repository} in a circle."
        ) from None
    except httpx.TimeoutException:
        raise _Passing("nothing came for too long") from None
    except httpx.TransportError as error:
        raise _Passing(f"the connection failed ({error or type(error).__name__})") from None


def _told(status: int, headers: httpx.Headers, source: Source) -> Exception:
    """What an answer with an error's status means."""
    if status in _PASSING:
        wait = headers.get("Retry-After", "")
        reason = f"the hub answered {status} ({HTTPStatus(status).phrase})"
        return _Passing(reason, float(wait) if wait.isdecimal() else None)
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return DownloadError(
            f"The hub refused {source.file} of {source.repository} ({status}). Give a token that"
            " may read it in HF_TOKEN."
        )
    return DownloadError(
        f"The hub answered {status} for {source.file} of {source.repository}. Try again later."
    )
