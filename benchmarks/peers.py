"""
The same comparison by other libraries, in memory, in an environment of their own that ``make bench`` makes.

``.venv-bench/bin/python benchmarks/peers.py <library> <folder>`` reads the tables that ``table.py`` has put there as Parquet
files, and prints how long the library took without the reading, how much memory the process held, and how many records differ. It
imports nothing of the project, which that environment does not have.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ENVIRONMENT = Path(__file__).resolve().parents[1] / ".venv-bench"
VENDOR = ENVIRONMENT / "vendor"
"""Where the vendor's Airflow provider is, for the peer in ``waiting.py``. It is used with the project's own Airflow."""


def by_polars(folder: Path, fields: list[dict[str, str]]) -> Callable[[], int]:
    import polars as pl  # noqa: PLC0415 - only in its environment

    tables = _tables(pl, folder)

    def work() -> int:
        return _expected(pl, *tables, fields).filter(_differs(pl, fields)).height

    return work


def by_datacompy_polars(folder: Path, fields: list[dict[str, str]]) -> Callable[[], int]:
    import polars as pl  # noqa: PLC0415
    from datacompy import PolarsCompare  # noqa: PLC0415

    sides = _sides(folder, fields)
    return lambda: _unequal(PolarsCompare(*(pl.DataFrame(side) for side in sides), join_columns="id"))


def by_datacompy_pandas(folder: Path, fields: list[dict[str, str]]) -> Callable[[], int]:
    from datacompy import PandasCompare  # noqa: PLC0415

    sides = [side.to_pandas(use_pyarrow_extension_array=False) for side in _sides(folder, fields)]
    return lambda: _unequal(PandasCompare(*sides, join_columns="id"))


LIBRARIES = {"polars": by_polars, "datacompy, polars": by_datacompy_polars, "datacompy, pandas": by_datacompy_pandas}


def _sides(folder: Path, fields: list[dict[str, str]]) -> list[Any]:
    """What Salesforce holds and what it should hold: already joined, which favours the peer."""
    import polars as pl  # noqa: PLC0415

    joined = _expected(pl, *_tables(pl, folder), fields)
    return [
        joined.select("id", *(pl.col(field["column"]) for field in fields)),
        joined.select("id", *(_own(pl, field).alias(field["column"]) for field in fields)),
    ]


def _tables(pl: Any, folder: Path) -> tuple[Any, Any, Any]:
    held, properties, features = (pl.read_parquet(folder / f"{name}.parquet") for name in ("held", "properties", "features"))
    return held, properties, features


def _expected(pl: Any, held: Any, properties: Any, features: Any, fields: list[dict[str, str]]) -> Any:
    own = features.rename({field["source"]: f"own_{field['column']}" for field in fields})
    known = properties.select(pl.col("id").cast(pl.String).alias("property_id"))
    return held.join(known, on="property_id").join(own, on="property_id", how="left")


def _own(pl: Any, field: dict[str, str]) -> Any:
    own = pl.col(f"own_{field['column']}")
    return own.fill_null(value=False) if field["kind"] == "checkbox" else own


def _differs(pl: Any, fields: list[dict[str, str]]) -> Any:
    return pl.any_horizontal(_own(pl, field).ne_missing(pl.col(field["column"])) for field in fields)


def _unequal(compared: Any) -> int:
    return int(len(compared.intersect_rows) - compared.count_matching_rows())  # of numpy, if it is pandas


def main() -> None:
    library, folder = sys.argv[1], Path(sys.argv[2])
    work = LIBRARIES[library](folder, json.loads((folder / "fields.json").read_text()))
    begun = time.perf_counter()
    answer = work()
    seconds = time.perf_counter() - begun
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps({"seconds": seconds, "megabytes": megabytes, "answer": answer}))


if __name__ == "__main__":
    main()
