"""
Every read of a large table, and why no other read of the same statement does its work. ``reads.toml`` has the reasons.

In the templates, each name of a large table becomes the name of its place. So a parsed statement says where its reads are from.
Spark may scan a table only as often as the statement has such reads (``tests/spark/plans.toml``).
"""

import re
import shutil
import tomllib
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlglot import exp

from feature_sync.config.settings import load_settings
from feature_sync.storage import warehouse
from tests.spark.plans import Plan, known_plans, short_names
from tests.spark.variants import OTHER_FIELDS, TOGETHER, change_settings, usual_settings
from tests.sql.statements import FILES, NAMES, STATEMENTS, every_statement, name_of, parse, rendered_anew

LARGE = {
    "salesforce_table": "replica",
    "properties_table": "properties",
    "features_table": "features",
    "payload_table": "payload",
}
NAMED = re.compile(rf"(MERGE INTO|UPDATE|DELETE FROM|FROM|JOIN) {{{{ settings\.({'|'.join(LARGE)}) }}}}")
"""Where a template names a large table."""
SHIPPED = "as shipped"


class Read(NamedTuple):
    """
    A place where a template reads a table.

    ``what``: the table as `LARGE` calls it. It begins with "changed" if a statement changes the table there, and with "given" if
    the text is not the template's own but rendered into it. ``number``: of this table's reads in the file.
    """

    file: str
    what: str
    number: int = 1

    @property
    def table(self) -> str:
        return self.what.rpartition(" ")[2]


Reads = Mapping[Read, int]
"""Of a statement: how many different queries make each read. Equal queries are one, because Spark executes them once."""

KNOWN = tomllib.loads(Path(__file__).with_name("reads.toml").read_text(encoding="utf-8"))
REASONS = {
    Read(file, what, number): sentence
    for file, tables in KNOWN["reasons"].items()
    for what, sentences in tables.items()
    for number, sentence in enumerate([sentences] if isinstance(sentences, str) else sentences, 1)
}
SCANS = {Read(file, what): known["scans"] for file, tables in KNOWN["scanned_again"].items() for what, known in tables.items()}
"""How often Spark scans for a read, if it is more than once."""
AGAIN = [known["because"] for tables in KNOWN["scanned_again"].values() for known in tables.values()]


def marked(text: str, file: str) -> str:
    """A template with the names of places instead of those of large tables."""
    found: Counter[str] = Counter()

    def mark(match: re.Match[str]) -> str:
        clause, setting = match.groups()
        what = LARGE[setting] if clause in ("FROM", "JOIN") else f"changed {LARGE[setting]}"
        found[what] += 1
        return f"{clause} `{what}`.`{file}`.`{found[what]}`"

    return NAMED.sub(mark, text)


def reads_of(text: str, statement: str) -> Reads:
    """:param text: rendered from marked templates."""
    given = {table: f"given {name}" for table, name in short_names(load_settings()).items() if name in LARGE.values()}
    [tree] = parse(text)
    assert tree is not None
    queries: set[tuple[Read, str]] = set()
    for table in tree.find_all(exp.Table):
        match [part.name for part in table.parts]:
            case [what, file, number] if what.rpartition(" ")[2] in LARGE.values():
                read = Read(file, what, int(number))
            case parts if ".".join(parts) in given:
                read = Read(statement, given[".".join(parts)])
            case _:
                continue
        query = table.find_ancestor(exp.Select)
        queries.add((read, without_ctes(query) if query else ""))
    return Counter(read for read, _ in queries)


def without_ctes(query: exp.Select) -> str:
    copy = query.copy()
    copy.set("with_", None)
    return copy.sql(dialect="databricks")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Reads]]:
    """By variant of the settings and statement. The variants have every line of SQL between them."""
    folder = tmp_path_factory.mktemp("marked") / "sql"
    shutil.copytree(warehouse.SQL_FOLDER, folder)
    for path in folder.rglob("*.sql"):
        file = path.relative_to(folder).with_suffix("").as_posix()
        path.write_text(marked(path.read_text(encoding="utf-8"), file), encoding="utf-8")
    reads: dict[str, dict[str, Reads]] = {}
    for variant in (SHIPPED, *TOGETHER, OTHER_FIELDS):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(warehouse, "SQL_FOLDER", folder)
            if variant == SHIPPED:
                usual_settings(patch)
            else:
                change_settings(variant, patch)
            reads[variant] = {name: reads_of(rendered_anew(name), name) for name in STATEMENTS}
    return reads


def too_many_scans(reads: Reads, plan: Plan, scans: Mapping[Read, int]) -> dict[str, str]:
    """By table."""
    allowed = Counter[str]()
    for read, queries in reads.items():
        allowed[read.table] += queries * scans.get(read, 1)
    made = {table: plan.scans.get(table, 0) for table in LARGE.values()}
    return {table: f"{count} scans, but reads for {allowed[table]}" for table, count in made.items() if count > allowed[table]}


@pytest.mark.parametrize("name", [name_of(path) for path in FILES])
def test_each_name_of_a_large_table_is_seen(name: str) -> None:
    text = (warehouse.SQL_FOLDER / f"{name}.sql").read_text(encoding="utf-8")

    assert not re.search("|".join(LARGE), marked(text, name))


def test_each_read_beside_another_of_its_table_has_its_reason(found: dict[str, dict[str, Reads]]) -> None:
    beside: dict[Read, set[str]] = defaultdict(set)
    for statements in found.values():
        for name, reads in statements.items():
            tables = Counter(read.table for read in reads)
            for read in reads:
                if tables[read.table] > 1 and not read.what.startswith("changed "):
                    beside[read].add(name)

    assert {read: statements for read, statements in beside.items() if read not in REASONS} == {}
    assert set(REASONS) - set(beside) == set(), "no statement has these beside another"


@pytest.mark.parametrize("sentence", [*REASONS.values(), *AGAIN])
def test_a_reason_is_a_sentence(sentence: str) -> None:
    assert re.fullmatch(r"[A-Z].{30,}\.", sentence)


@every_statement
def test_no_read_is_made_by_two_queries(found: dict[str, dict[str, Reads]], name: str) -> None:
    for reads in found.values():
        assert [read for read, queries in reads[name].items() if queries > 1] == []


@pytest.mark.parametrize("name", [name for name in STATEMENTS if "table" not in NAMES.get(name, ())])
def test_spark_scans_a_table_only_for_these_reads(found: dict[str, dict[str, Reads]], name: str) -> None:
    assert too_many_scans(found[SHIPPED][name], known_plans().get(name, Plan()), SCANS) == {}


@pytest.mark.parametrize("name", [name for name in STATEMENTS if "table" in NAMES.get(name, ())])
def test_a_statement_for_any_table_scans_it_once(name: str) -> None:
    assert known_plans().get(name, Plan()).size in ((0, 0), (1, 0))


@pytest.mark.parametrize("read", SCANS, ids=str)
def test_no_read_is_scanned_less_often_than_it_says(found: dict[str, dict[str, Reads]], read: Read) -> None:
    once_less = SCANS | {read: SCANS[read] - 1}

    assert any(too_many_scans(found[SHIPPED][name], plan, once_less) for name, plan in known_plans().items())
