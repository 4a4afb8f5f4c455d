"""What a batch is called."""

from feature_sync.sending.batches import Batch


def test_a_batch_is_named_by_its_number_and_records() -> None:
    batch = Batch(26, 1251, 1296, 46)

    assert batch.label == "batch 026: records 1251-1296"
    assert batch.file_name == "feature_backfill_batch_026_records_1251-1296.csv"
    assert Batch.from_xcom(batch.as_xcom()) == batch
