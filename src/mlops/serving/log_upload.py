"""Uploads finished files of the prediction log from the spool folder to where fsspec can write."""

import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

from mlops.project.errors import MlopsError
from mlops.serving import log_file

SCAN_SECONDS = 60.0  # also without a rotation: another worker may have died and left files
LONGEST_PAUSE = 60.0
CLOUDS = {"s3", "s3a", "gs", "az", "adl", "azure", "abfs", "abfss"}  # what obstore writes to


class Uploader:
    """A thread that moves files away as soon as no writer has them open.

    Workers share a spool folder: whoever holds a file's lock uploads it. A file that was uploaded
    but not deleted, because of a crash in between, goes up again under the same name.
    """

    def __init__(self, uri: str, spool: Path) -> None:
        self.reason = ""
        self.failures = 0
        self._uri = uri
        self._spool = spool
        self._files, self._target = connect(uri)
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="prediction-upload", daemon=True)
        self._thread.start()

    def poke(self) -> None:
        """Look for finished files now."""
        self._wake.set()

    def stop(self, timeout: float) -> None:
        """Upload what is finished, once more and for at most ``timeout`` seconds."""
        self._stopping = True
        self._wake.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        last = False
        while not last:
            last = self._stopping
            try:
                self._upload()
            except Exception as error:  # whatever it is, predictions go on and this is tried again
                self.failures += 1
                self.reason = self._sentence(error)
                pause = min(2.0 ** (self.failures - 1), LONGEST_PAUSE)
            else:
                self.failures = 0
                self.reason = ""
                pause = SCAN_SECONDS
            if not last:
                self._wake.wait(pause)
                self._wake.clear()

    def _upload(self) -> None:
        for path in sorted(self._spool.glob(log_file.PATTERN)):
            with log_file.claim(path) as handle:
                if handle is None:
                    continue
                log_file.cut_torn_line(handle)
                if path.stat().st_size:
                    self._files.put_file(str(path), f"{self._target}/{path.name}")
                path.unlink()

    def _sentence(self, error: Exception) -> str:
        waiting = sum(1 for _ in self._spool.glob(log_file.PATTERN))
        cause = " ".join(str(error).split()) or type(error).__name__
        return (
            f"uploading to {self._uri} failed {self.failures} times in a row ({cause}); "
            f"{waiting} files wait in {self._spool}"
        )


def connect(uri: str) -> tuple[Any, str]:
    """Return the fsspec file system that ``uri`` is on, and its path there.

    Raises
    ------
    MlopsError
        When no installed package knows such an address.
    """
    import fsspec  # only here: a service that logs to a folder does not need the memory

    scheme, _, rest = uri.partition("://")
    try:
        if scheme in CLOUDS:
            from obstore.fsspec import FsspecStore

            store: Any = FsspecStore  # its types want each scheme by itself
            # An address that begins with http:// (AWS_ENDPOINT_URL) was given on purpose. Asked
            # again after a pause by the thread, so obstore need not try for three minutes.
            files = store(
                scheme,
                client_options={"allow_http": True, "connect_timeout": "5s"},
                retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=20)},
                skip_instance_cache=True,
            )
            return files, rest.rstrip("/")
        files, path = fsspec.core.url_to_fs(uri, use_listings_cache=False)
    except (ImportError, ValueError) as error:
        raise MlopsError(
            f"PREDICTION_LOG_URI is {uri}, and nothing that is installed can write there "
            f"({' '.join(str(error).split())}); give a folder, or install the package"
        ) from None
    return files, str(path).rstrip("/")
