import pytest

from feature_sync.config.wording import count_of


@pytest.mark.parametrize(
    ("number", "words", "text"),
    [
        pytest.param(1, ("record", "has", "have"), "1 record has", id="one"),
        pytest.param(1_296, ("record", "has", "have"), "1,296 records have", id="several"),
        pytest.param(0, ("batch",), "0 batches", id="none"),
        pytest.param(2, ("property",), "2 properties", id="y"),
        pytest.param(2, ("day",), "2 days", id="y-after-a-vowel"),
        pytest.param(2, ("flag", "that differ"), "2 flags that differ", id="the-same-after-both"),
    ],
)
def test_a_number_has_its_noun_and_verb(number: int, words: tuple[str, ...], text: str) -> None:
    assert count_of(number, *words) == text
