"""The files of a run: one folder per run, on any storage that Airflow's object storage supports."""

import hashlib
import json
import logging
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from airflow.sdk import ObjectStoragePath

from feature_sync.config.names import BACKFILL_DAG_ID, DAG_IDS
from feature_sync.config.settings import Settings

log = logging.getLogger(__name__)

DIGEST_DIGITS = 16
DIGEST = rf"-[0-9a-f]{{{DIGEST_DIGITS}}}$"
OTHER_DAG_IDS = DAG_IDS - {BACKFILL_DAG_ID}
LOCAL = ("", "file", "local")
WITH_FOLDERS = (*LOCAL, "sftp", "ssh", "ftp", "smb", "hdfs", "webhdfs", "arrow_hdfs")
"""Protocols of storages where a file needs a folder. In all others a path is only a name."""
UNFINISHED = ".{}.unfinished"
"""The name of a file that is not complete yet."""
MAX_IN_MEMORY = 8 * 1024 * 1024
"""Bytes of a file for an object store that are held in memory; a larger one is put together on this machine's disk."""
StoragePath = ObjectStoragePath
"""A path on any storage that Airflow's object storage supports."""


@dataclass(frozen=True, slots=True)
class RunFiles:
    """
    Paths of one run's files.

    :param folder: the run's folder.
    """

    folder: ObjectStoragePath

    def full_csv(self, day: date) -> ObjectStoragePath:
        """
        All records of the run, as frozen.

        :param day: the run's day in UTC.
        """
        return self.folder / f"feature_backfill_{day:%Y%m%d}.csv"

    @property
    def batch_folder(self) -> ObjectStoragePath:
        """One CSV for each batch."""
        return self.folder / "feature_backfill_batches"

    @property
    def preview(self) -> ObjectStoragePath:
        """What the run would change in Salesforce."""
        return self.folder / "preview.json"

    @property
    def approvals(self) -> ObjectStoragePath:
        """Each question that people were asked, and the answer."""
        return self.folder / "approvals.json"

    @property
    def probe(self) -> ObjectStoragePath:
        """The batch sizes that strategy probe tried, and what happened."""
        return self.folder / "probe.json"

    @property
    def records_not_undone(self) -> ObjectStoragePath:
        """The records of the run to undo that stay as they are, with the reason."""
        return self.folder / "records_not_undone.csv"

    @property
    def records_left_out(self) -> ObjectStoragePath:
        """The records in scope that are not sent, with the reason. Only if there are any."""
        return self.folder / "records_left_out.csv"

    @property
    def validation(self) -> ObjectStoragePath:
        """What both systems hold after the run."""
        return self.folder / "validation.json"

    @property
    def rejected_records(self) -> ObjectStoragePath:
        """The rows that are still rejected, with Salesforce's reason. ``rejected_records.xlsx`` has the same for people."""
        return self.folder / "rejected_records.csv"

    @property
    def rejected_then_accepted(self) -> ObjectStoragePath:
        """
        The rows that were rejected first and accepted later, with the first reason. ``rejected_then_accepted.xlsx`` has the same
        for people.
        """
        return self.folder / "rejected_then_accepted.csv"

    @property
    def report(self) -> ObjectStoragePath:
        """The page about the run, for people: one file to open, to print, or to mail."""
        return self.folder / "report.html"

    @property
    def accuracy_chart(self) -> ObjectStoragePath:
        """How accurate each product was over time, as the weekly run's page draws it. Only if there is a history."""
        return self.folder / "accuracy.svg"

    @property
    def mismatches(self) -> ObjectStoragePath:
        """
        Each field that differs between Salesforce and the warehouse, with its cause. ``mismatches.xlsx`` has the same for people.
        """
        return self.folder / "mismatches.csv"

    @property
    def missing_records(self) -> ObjectStoragePath:
        """
        The weekly run's list of the properties without a record in Salesforce. ``missing_records.xlsx`` has the same for people.
        """
        return self.folder / "missing_records.csv"


def run_files(settings: Settings, run_id: str, dag_id: str = BACKFILL_DAG_ID) -> RunFiles:
    """
    The files of a DAG run. A backfill's folder is named by its run id; the folder of another DAG has that DAG's name in
    front.
    """
    owner = run_id if dag_id == BACKFILL_DAG_ID else f"{dag_id}__{run_id}"
    # A person may name a backfill as the folder of another DAG's run is named.
    is_taken = dag_id == BACKFILL_DAG_ID and run_id.startswith(tuple(f"{other}__" for other in OTHER_DAG_IDS))
    return RunFiles(ObjectStoragePath(settings.output_url) / folder_name(owner, digest_of=f"{dag_id}\0{run_id}" * is_taken))


def folder_name(run_id: str, *, digest_of: str = "") -> str:
    """
    A folder name for a run id, different for every run id, also on a disk that ignores case.

    Callers may choose run ids, and these have characters that file systems and object stores treat differently (``:``, ``+``). So
    all but letters, digits, ``_``, ``-`` and inner dots is replaced, and a digest keeps apart what then looks alike.

    :param digest_of: what the digest is of, if it is not the run id. Then the name always has one.
    """
    name = re.sub(r"[^A-Za-z0-9_.-]|^\.+|\.+$", "-", run_id, flags=re.ASCII)[:150]
    if name and name == run_id and name == name.lower() and not digest_of and not re.search(DIGEST, name):
        return name
    return f"{name}-{hashlib.sha256((digest_of or run_id).encode()).hexdigest()[:DIGEST_DIGITS]}"


def prove_output_writable(settings: Settings) -> None:
    """
    Write a file below the output path and remove it, if it may be removed.

    :raises Exception: whatever the storage raises.
    """
    folder = ObjectStoragePath(settings.output_url)
    # On a disk, the file of another user could not be written. In an object store it can, and then at most one is left there.
    probe = folder / (f".write-test-{uuid.uuid4().hex}" if _has_folders(folder) else ".write-test")
    with replacing(probe) as file:
        file.write(b"may this process write here?\n")
    remove(probe)


def output_permission(settings: Settings) -> bool | None:
    """
    Whether files may be written below the output path, by the permissions of the nearest folder that exists. Nothing is written.

    :returns: None if that is only known after a file was written, as in an object store.
    """
    path = ObjectStoragePath(settings.output_url)
    if path.protocol not in LOCAL:
        return None
    folder = Path(path.path)
    nearest = next(each for each in (folder, *folder.parents) if each.exists())
    return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)


@contextmanager
def replacing(path: ObjectStoragePath) -> Iterator[IO[bytes]]:
    """
    Open a file for writing that replaces ``path`` only when it is complete.

    A task that dies while writing leaves the former file, or none, and never half a file. An object store has no folders to make
    and nothing to rename: there the file is put together on this machine and sent when it is complete. So the only right that it
    takes is to write this one object. Making the parent would create a missing bucket.
    """
    if not _has_folders(path):
        with SpooledTemporaryFile(max_size=MAX_IN_MEMORY) as complete:
            yield complete
            complete.seek(0)
            _send(complete, path)
        return
    # On this machine's disk Airflow's path would tell its lineage of each write, which takes longer than the write.
    target: Any = Path(path.path) if path.protocol in LOCAL else path
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.parent / UNFINISHED.format(target.name)
    with unfinished.open("wb") as file:
        yield file
    unfinished.replace(target) if path.protocol in LOCAL else unfinished.rename(target)


def write_files(folder: ObjectStoragePath, files: Iterable[tuple[str, bytes]]) -> None:
    """
    Write many small files into a folder, each as `replacing` does. The folder is made once, because that takes as long as a file.

    :param files: the name of each and what it holds.
    """
    if folder.protocol not in LOCAL:
        for name, content in files:
            with replacing(folder / name) as file:
                file.write(content)
        return
    local = Path(folder.path)
    local.mkdir(parents=True, exist_ok=True)
    for name, content in files:
        unfinished = local / UNFINISHED.format(name)
        unfinished.write_bytes(content)
        unfinished.replace(local / name)


def remove(path: ObjectStoragePath) -> None:
    """Remove a file, if it is there and may be removed. To ask whether it is there may need the right to list the bucket."""
    try:
        path.fs.rm_file(path.path)
    except FileNotFoundError:
        pass
    except Exception as error:  # each storage has errors of its own
        log.warning("%s could not be removed: %s: %s", path, type(error).__name__, error)


def _has_folders(path: ObjectStoragePath) -> bool:
    return path.protocol in WITH_FOLDERS


def _send(complete: Any, path: ObjectStoragePath) -> None:
    target = path.fs.open(path.path, "wb")
    try:
        shutil.copyfileobj(complete, target)
    except BaseException:
        # Closing it, which Python would do too, would make an object of the part that has been sent.
        with suppress(Exception):
            target.discard()
        with suppress(AttributeError):
            target.closed = True
        raise
    target.close()


def write_text(path: ObjectStoragePath, text: str) -> None:
    """Write a whole file, see `replacing`."""
    with replacing(path) as file:
        file.write(text.encode())


def masked(text: str) -> str:
    """A text for people, without the secrets that Airflow masks in logs."""
    from airflow.sdk.log import redact  # noqa: PLC0415 - it loads the logging of tasks

    return str(redact(text))


def write_json(path: ObjectStoragePath, value: dict[str, Any]) -> None:
    """Write a whole JSON file, see `replacing`."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def read_json(path: ObjectStoragePath) -> dict[str, Any]:
    """
    Read a JSON file. Files are for people: nothing that a run does may depend on what this returns.

    :returns: what it holds; empty if it is not there or cannot be read. A bucket that may not be listed does not say which.
    """
    try:
        return dict(json.loads(path.fs.cat_file(path.path)))
    except FileNotFoundError:
        return {}
    except Exception as error:  # each storage has errors of its own
        log.info("%s is not read: %s: %s", path, type(error).__name__, error)
        return {}
