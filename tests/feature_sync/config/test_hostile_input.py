"""Parameters that somebody chose to do harm: refused in a short and harmless message."""

from collections.abc import Mapping
from typing import Any

import pytest

from feature_sync.config.problems import RunConfigError
from feature_sync.config.run_config import DEFAULTS, parse_run_config

SHORT = 1_000
Conf = dict[str, Any]
NEEDED_BESIDE: dict[str, Conf] = {
    "created_from": {"scope": "created_between", "created_to": "2025-11-21"},
    "created_to": {"scope": "created_between", "created_from": "2025-11-21"},
    "property_ids": {"scope": "property_ids"},
}
"""What makes a run config usable together with a good value of the parameter."""
GOOD_TEXTS = {
    "strategy": "batched",
    "scope": "all",
    "created_from": "2025-11-20",
    "created_to": "2025-11-22",
    "on_batch_failure": "stop",
    "unmatched": "skip",
    "undo_run_id": "manual__2025-11-21T00:00:00+00:00",
}
WHOLE_NUMBERS = ("batch_size", "wait_seconds", "max_consecutive_failures")
SWITCHES = ("allow_mass_disable", "dry_run")
TEXTS = {
    "quote": "it's",
    "double-quote": 'a"b',
    "backtick": "a`b",
    "semicolon": "all;",
    "sql-comment": "all -- x",
    "sql-block-comment": "all/**/",
    "sql": "'; DROP TABLE rds.pg_rds_public.properties; --",
    "sql-always-true": "x' OR '1'='1",
    "path": "../../etc/passwd",
    "windows-path": "..\\..\\boot.ini",
    "nul": "all\0",
    "cr-lf": "all\r\nSet-Cookie: a=b",
    "line-end-within": "a\nb",
    "unicode-line-end": "a\u2028b",
    "escape-sequence": "\x1b[2Jall",
    "formula": "=cmd()",
    "dde-formula": "=cmd|' /C calc'!A0",
    "template": "{{ conf }}",
    "shell": "$(id)",
    "format": "%s%n",
    "megabyte": "x" * 1_000_000,
    "megabyte-not-ascii": "\u00e9" * 1_000_000,
    "arabic-indic-digits": "\u0665\u0660",
    "fullwidth-digits": "\uff15\uff10",
    "fullwidth-day": "\uff12\uff10\uff12\uff15-11-21",
    "homoglyph": "\u0430ll",
    "right-to-left": "\u202ella",
    "zero-width": "al\u200bl",
    "lone-surrogate": "\ud800",
    "other-plane": "\U0001f4a5",
}
MARKUP = {
    "script": "<script>alert(1)</script>",
    "image": "<img src=x onerror=alert(1)>",
    "link": "[all](javascript:alert(1))<b>",
}


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else {"a": [1, {"b": None}]}


THINGS: dict[str, Any] = {
    "negative": -1,
    "huge": 10**30,
    "huge-negative": -(10**4000),
    "float": 1.0,
    "endless": float("inf"),
    "no-number": float("nan"),
    "list-with-numbers": [1, 2],
    "list-with-null": ["1", None],
    "list-with-bool": [True],
    "list-in-list": [["1"]],
    "10,001-ids": [str(number) for number in range(10_001)],
    "deep": nested(100),
    "object": {"$ne": None},
    "object-like-a-list": {"0": "1"},
}


def refusal(conf: Conf) -> RunConfigError:
    with pytest.raises(RunConfigError) as refused:
        parse_run_config(conf)
    return refused.value


def fault_of(parameter: str, value: Any) -> str | None:
    """Why this is not refused as it should be: by name, and in a message that does no harm wherever it is shown."""
    try:
        parse_run_config(NEEDED_BESIDE.get(parameter, {}) | {parameter: value})
    except RunConfigError as error:
        if any(not problem.startswith(f"{parameter} ") for problem in error.problems):
            return f"another parameter is named: {error.problems}"
        if len(str(error)) >= SHORT:
            return f"{len(str(error))} characters"
        if not all(32 <= ord(character) < 127 for problem in error.problems for character in problem):
            return f"more than plain text: {error.problems}"
        return None
    return "accepted"


def faults_of(parameter: str, values: Mapping[str, Any]) -> dict[str, str]:
    faults = {name: fault_of(parameter, value) for name, value in values.items()}
    return {name: fault for name, fault in faults.items() if fault}


def named(*values: Any) -> dict[str, Any]:
    return {repr(value)[:40]: value for value in values}


STRICT = [name for name in DEFAULTS if name != "undo_run_id"]
"""Parameters that are no free text. The id of a run is what a site allows. It is bound, and the payload says if it exists."""
NO_RUN_IDS = {"nul", "megabyte", "megabyte-not-ascii", "lone-surrogate"}


class TestRunConfig:
    @pytest.mark.parametrize("parameter", STRICT)
    def test_hostile_texts_are_refused(self, parameter: str) -> None:
        assert faults_of(parameter, TEXTS) == {}

    def test_a_run_id_that_no_airflow_can_keep_is_refused(self) -> None:
        assert faults_of("undo_run_id", {name: text for name, text in TEXTS.items() if name in NO_RUN_IDS}) == {}

    @pytest.mark.parametrize("text", [text for name, text in TEXTS.items() if name not in NO_RUN_IDS], ids=ascii)
    def test_any_other_text_is_a_run_id_as_it_is(self, text: str) -> None:
        assert parse_run_config({"undo_run_id": text}).undo_run_id == text

    def test_hostile_texts_among_the_ids_are_refused(self) -> None:
        assert faults_of("property_ids", {name: ["7", text, "8"] for name, text in TEXTS.items()}) == {}

    @pytest.mark.parametrize("parameter", DEFAULTS)
    def test_values_of_another_type_are_refused(self, parameter: str) -> None:
        assert faults_of(parameter, THINGS) == {}

    @pytest.mark.parametrize("parameter", [name for name in DEFAULTS if name not in SWITCHES])
    def test_a_switch_is_no_value_of_another_parameter(self, parameter: str) -> None:
        assert faults_of(parameter, named(True)) == {}

    @pytest.mark.parametrize("parameter", SWITCHES)
    def test_nothing_but_true_and_false_is_a_switch(self, parameter: str) -> None:
        assert faults_of(parameter, named(0, 1, "true", "false", "", None)) == {}

    @pytest.mark.parametrize("parameter", WHOLE_NUMBERS)
    def test_nothing_but_a_whole_number_is_one(self, parameter: str) -> None:
        assert faults_of(parameter, named("1", "", None, [1], 1.5, "1e0", "0x1", "\uff11")) == {}

    @pytest.mark.parametrize("parameter", [name for name in GOOD_TEXTS if name in STRICT])
    def test_a_good_text_is_refused_with_anything_around_it(self, parameter: str) -> None:
        good = GOOD_TEXTS[parameter]
        parse_run_config(NEEDED_BESIDE.get(parameter, {}) | {parameter: good})
        around = (f"{good}\n", f"{good}\0", f"{good}\u200b", f" {good}", f"{good} ", f"{good}'", f"'{good}'", f"{good};--")

        assert faults_of(parameter, dict(zip(map(ascii, around), around, strict=True))) == {}

    def test_ids_and_run_ids_end_at_their_limit(self) -> None:
        parse_run_config({"scope": "property_ids", "property_ids": ["7" * 64] * 10_000})
        parse_run_config({"undo_run_id": "r" * 250})

        assert fault_of("property_ids", ["7" * 65]) is None
        assert fault_of("property_ids", ["7"] * 10_001) is None
        assert fault_of("undo_run_id", "r" * 251) is None

    def test_all_parameters_at_once_are_refused_in_a_message_that_a_person_can_read(self) -> None:
        error = refusal(dict.fromkeys(DEFAULTS, TEXTS["megabyte"]))

        assert {problem.partition(" ")[0] for problem in error.problems} == set(DEFAULTS)
        assert len(str(error)) < 4 * SHORT

    def test_markup_is_not_repeated_as_it_came(self) -> None:
        for parameter in STRICT:
            for text in MARKUP.values():
                value = [text] if parameter == "property_ids" else text
                error = refusal(NEEDED_BESIDE.get(parameter, {}) | {parameter: value})
                assert not set("<>") & set(str(error))

    def test_hostile_names_of_parameters_are_refused(self) -> None:
        for text in TEXTS.values():
            if text.isascii() and len(text) < SHORT:
                error = refusal({text: "x"})
                [problem] = error.problems
                assert "is not a parameter; known are scope, " in problem
                assert all(32 <= ord(character) < 127 for character in problem)
                assert len(str(error)) < SHORT

    @pytest.mark.parametrize(
        "conf",
        [
            pytest.param({TEXTS["megabyte"]: 1}, id="one-huge"),
            pytest.param({f"name-{number}": 1 for number in range(10_000)}, id="very-many"),
            pytest.param({TEXTS["homoglyph"]: 1}, id="homoglyph"),
            pytest.param({MARKUP["script"]: 1}, id="markup"),
        ],
    )
    def test_names_of_parameters_do_not_flood_or_mark_up_the_message(self, conf: Conf) -> None:
        message = str(refusal(conf))

        assert len(message) < SHORT
        assert message.isascii()
        assert not set("<>") & set(message)
