"""A bucket whose policy allows nothing but to write, read and remove objects below one prefix."""

import gc
import shutil
from datetime import date
from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa
import pytest
from airflow.sdk import ObjectStoragePath
from airflow.sdk.io import store
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from feature_sync.config.names import RECONCILIATION_DAG_ID
from feature_sync.config.settings import load_settings
from feature_sync.storage import run_files
from feature_sync.storage.csv_files import write_csv, write_csv_parts
from feature_sync.storage.run_files import prove_output_writable, read_json, remove, replacing, write_json

URL = "s3://company-bucket/team/sync_payloads"


class Upload(AbstractBufferedFile):
    """An object on its way: parts are sent as they come, and the end makes the object."""

    DEFAULT_BLOCK_SIZE = 64

    def _initiate_upload(self) -> None:
        self.parts = b""

    def _upload_chunk(self, final: bool = False) -> bool:
        if self.fs.breaks:
            self.fs.breaks = False  # the connection is back when Python closes what was left open
            raise ConnectionError("lost")
        self.parts += self.buffer.getvalue()
        if final:
            self.fs.objects[self.path] = self.parts
        return True

    def _fetch_range(self, start: int, end: int) -> bytes:
        return self.fs.objects[self.path][start:end]  # type: ignore[no-any-return]


class Bucket(AbstractFileSystem):
    """Has no folders. Refuses what the policy of a careful administrator refuses, and all outside the prefix."""

    protocol = "s3"
    cachable = False
    prefix = "company-bucket/team/sync_payloads/"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.objects: dict[str, bytes] = {}
        self.may_remove = True
        self.may_read = True
        self.breaks = False

    @classmethod
    def _strip_protocol(cls, path: Any) -> str:
        return str(path).removeprefix("s3://").strip("/")

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise PermissionError("AccessDenied")

    mkdir = makedirs = mkdirs = ls = find = walk = glob = info = exists = isdir = isfile = du = _refuse
    copy = cp_file = mv = rename = move = _refuse

    def _allow(self, path: str, may: bool = True) -> str:
        path = self._strip_protocol(path)
        if not may or not path.startswith(self.prefix):
            raise PermissionError(f"AccessDenied: {path}")
        return path

    def _open(self, path: str, mode: str = "rb", **_: object) -> Upload:
        assert mode == "wb", "reading asks for the object's size first, which may need the right to list"
        return Upload(self, self._allow(path), mode, block_size=64)

    def cat_file(self, path: str, *_: object, **__: object) -> bytes:
        path = self._allow(path, self.may_read)
        if path not in self.objects:
            raise PermissionError("AccessDenied")  # without the right to list, nobody is told that an object is missing
        return self.objects[path]

    def rm_file(self, path: str) -> None:
        self.objects.pop(self._allow(path, self.may_remove), None)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Bucket:
    bucket = Bucket()
    monkeypatch.setitem(store._STORE_CACHE, "s3", store.ObjectStore("s3", None, bucket))  # `attach` has no way back
    monkeypatch.setenv("FEATURE_SYNC_OUTPUT_PATH", URL)
    return bucket


def below(bucket: Bucket) -> dict[str, bytes]:
    assert all(path.startswith(Bucket.prefix) for path in bucket.objects)
    return {path.removeprefix(Bucket.prefix): data for path, data in bucket.objects.items()}


def test_the_output_path_is_proved_by_an_object_below_it(bucket: Bucket) -> None:
    prove_output_writable(load_settings())

    assert bucket.objects == {}


def test_an_output_path_without_the_right_to_remove_keeps_one_object(bucket: Bucket) -> None:
    bucket.may_remove = False

    prove_output_writable(load_settings())
    prove_output_writable(load_settings())

    assert list(below(bucket)) == [".write-test"]


@pytest.mark.usefixtures("bucket")
def test_an_output_path_that_may_not_be_written_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_SYNC_OUTPUT_PATH", "s3://company-bucket/another-team")

    with pytest.raises(PermissionError):
        prove_output_writable(load_settings())


def test_all_files_of_a_run_are_written_below_the_prefix(bucket: Bucket) -> None:
    files = run_files.run_files(load_settings(), "manual__2025-11-21T00:00:00+00:00/é")
    weekly = run_files.run_files(load_settings(), "scheduled__1", RECONCILIATION_DAG_ID)
    table = pa.table({"id": [str(number) for number in range(100)]})

    assert write_csv(files.full_csv(date(2025, 11, 21)), [table]) == 100
    write_csv_parts(files.batch_folder, [("one.csv", 60), ("two.csv", 40)], [table])
    write_json(files.preview, {"records": 1})
    write_json(files.preview, {"records": 2})
    write_json(weekly.validation, {"result": "equal"})
    remove(files.records_left_out)

    assert read_json(files.preview) == {"records": 2}
    assert sorted(below(bucket)) == sorted(
        f"{str(file).removeprefix(URL)}".lstrip("/")
        for file in (
            files.full_csv(date(2025, 11, 21)),
            files.batch_folder / "one.csv",
            files.batch_folder / "two.csv",
            files.preview,
            weekly.validation,
        )
    )


def test_what_may_not_be_read_is_not_there(bucket: Bucket) -> None:
    file = run_files.run_files(load_settings(), "x").approvals
    write_json(file, {"a": 1})
    bucket.may_read = False

    assert read_json(file) == {}


@pytest.mark.parametrize("former", [None, b"the former file"])
def test_a_writer_that_dies_leaves_the_former_object(bucket: Bucket, former: bytes | None) -> None:
    path = ObjectStoragePath(f"{URL}/full.csv")
    bucket.objects = {f"{Bucket.prefix}full.csv": former} if former else {}
    before = dict(bucket.objects)

    def dies() -> None:
        with replacing(path) as file:
            file.write(b"x" * 1_000)
            raise ConnectionError("lost")

    with pytest.raises(ConnectionError):
        dies()

    assert bucket.objects == before


@pytest.mark.parametrize("former", [None, b"the former file"])
def test_a_connection_that_breaks_leaves_the_former_object(bucket: Bucket, former: bytes | None) -> None:
    path = ObjectStoragePath(f"{URL}/full.csv")
    bucket.objects = {f"{Bucket.prefix}full.csv": former} if former else {}
    before = dict(bucket.objects)
    bucket.breaks = True

    def write() -> None:
        with replacing(path) as file:
            file.write(b"x" * 1_000)

    with pytest.raises(ConnectionError):
        write()
    gc.collect()

    assert bucket.objects == before


def test_a_file_that_does_not_fit_into_memory_comes_whole(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_files, "MAX_IN_MEMORY", 100)
    table = pa.table({"id": [f"property {number}" for number in range(1_000)]})

    assert write_csv(ObjectStoragePath(f"{URL}/full.csv"), [table.slice(0, 400), table.slice(400)]) == 1_000

    lines = below(bucket)["full.csv"].decode().splitlines()
    assert lines == ["id", *(f'"property {number}"' for number in range(1_000))]


def test_a_folder_on_a_disk_is_made_and_a_file_that_is_gone_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_SYNC_OUTPUT_PATH", str(tmp_path / "deep" / "output"))
    prove_output_writable(load_settings())
    assert list((tmp_path / "deep" / "output").iterdir()) == []
    shutil.rmtree(tmp_path / "deep")
    file = run_files.run_files(load_settings(), "x").approvals

    remove(file)

    assert read_json(file) == {}
