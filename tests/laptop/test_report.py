"""What is told after a run, from the files it wrote."""

import json
from pathlib import Path
from typing import Any

import pytest

from laptop.report import ProductRow, ReportError, local_folder, product_table, read_report

VALIDATION: dict[str, Any] = {
    "run_id": "manual__1",
    "properties_checked": 1296,
    "properties_mismatched": 0,
    "result": "0 properties with mismatched feature data",
    "products": [
        {
            "product": "fraud_detection",
            "label": "Fraud Detection",
            "enabled_in_salesforce": 1226,
            "enabled_in_warehouse": 1226,
            "mismatched": 0,
        },
        {"product": "idv_only", "label": "IDV Only", "enabled_in_salesforce": 0, "enabled_in_warehouse": 0, "mismatched": 0},
    ],
}
PREVIEW: dict[str, Any] = {
    # In another order than above, so that a pairing by position would show.
    "products": [{"product": "idv_only", "enabled_now": 3}, {"product": "fraud_detection", "enabled_now": 0}]
}


def write(folder: Path, validation: object = VALIDATION, preview: object = PREVIEW) -> Path:
    (folder / "validation.json").write_text(json.dumps(validation))
    (folder / "preview.json").write_text(json.dumps(preview))
    return folder


def test_products_are_paired_by_name(tmp_path: Path) -> None:
    report = read_report(write(tmp_path))

    assert report.products == (
        ProductRow("Fraud Detection", before=0, after=1226, should_be=1226, mismatched=0),
        ProductRow("IDV Only", before=3, after=0, should_be=0, mismatched=0),
    )
    assert report.good


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"properties_mismatched": 1}, id="a-mismatch"),
        pytest.param({"properties_checked": 0}, id="nothing-checked"),
    ],
)
def test_a_report_is_bad_with_a_mismatch_and_without_coverage(tmp_path: Path, changes: dict[str, int]) -> None:
    assert not read_report(write(tmp_path, VALIDATION | changes)).good


def test_the_table_lines_up(tmp_path: Path) -> None:
    assert product_table(read_report(write(tmp_path)).products).splitlines() == [
        "product          before  after  should be  mismatched",
        "-----------------------------------------------------",
        "Fraud Detection       0  1,226      1,226           0",
        "IDV Only              3      0          0           0",
    ]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "validation.json").unlink()

    with pytest.raises(ReportError, match=r"validation\.json is missing"):
        read_report(tmp_path)


def test_a_product_missing_from_the_preview_is_no_zero(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="fraud_detection"):
        read_report(write(tmp_path, preview={"products": PREVIEW["products"][:1]}))


@pytest.mark.parametrize("address", ["/data/run 1", "file:///data/run%201"])
def test_a_folder_may_be_a_path_or_a_file_url(address: str) -> None:
    assert local_folder(address) == Path("/data/run 1")


def test_a_folder_elsewhere_is_not_looked_for_here() -> None:
    with pytest.raises(ReportError, match="s3://bucket/run"):
        local_folder("s3://bucket/run")
