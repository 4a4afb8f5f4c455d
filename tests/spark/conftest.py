"""One Spark for all tests of this folder, where a JDK 17 is found."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.spark.java import MISSING, find_java

if TYPE_CHECKING:
    from tests.spark.engine import Spark

USERS_OWN = ("SPARK_HOME", "SPARK_CONF_DIR", "PYSPARK_SUBMIT_ARGS", "PYSPARK_GATEWAY_PORT", "JAVA_TOOL_OPTIONS")


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Spark]":
    java = find_java()
    assert java is not None, MISSING
    from tests.spark.engine import Spark  # noqa: PLC0415 - it cannot be imported everywhere

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAVA_HOME", str(java))
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        for name in USERS_OWN:
            patch.delenv(name, raising=False)
        spark = Spark(tmp_path_factory.mktemp("spark"), java)
    yield spark
    spark.close()
