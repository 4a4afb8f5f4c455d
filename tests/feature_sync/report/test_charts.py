"""The charts: one scale for all products, and a curve that ends where the table ends."""

import re
from datetime import timedelta

import pytest

from feature_sync.report.charts import AccuracyPoint, AccuracyScale, as_file, draw_accuracy, draw_products, percent
from feature_sync.report.facts import ProductNumbers
from tests.feature_sync.report.pages import NOON, Tags

WEEK = timedelta(days=7)


def points(product: str, *shares: float, healed: float | None = None) -> list[AccuracyPoint]:
    found = [AccuracyPoint(product, NOON + number * WEEK, share) for number, share in enumerate(shares)]
    end = found[-1].at + timedelta(hours=1)
    return found if healed is None else [*found, AccuracyPoint(product, end, healed, is_after=True)]


@pytest.mark.parametrize("lowest", [1.0, 0.999999, 0.9999, 0.9991, 0.99, 0.876, 0.5, 0.001, 0.0])
def test_the_scale_holds_the_lowest_share_and_its_ticks_can_be_told_apart(lowest: float) -> None:
    scale = AccuracyScale.around(lowest)
    digits = int(re.findall(r"\d", scale.format)[0])
    written = [f"{tick:.{digits}%}" for tick in scale.ticks]

    assert scale.lowest <= lowest
    assert scale.ticks[0] == 1
    assert scale.ticks[-1] == scale.lowest
    assert len(set(written)) == len(written) >= 3
    assert all(abs(float(text.rstrip("%")) / 100 - tick) < 1e-9 for text, tick in zip(written, scale.ticks, strict=True))


def test_a_small_loss_is_readable() -> None:
    assert AccuracyScale.around(0.9991).ticks == (1.0, 0.9995, 0.999)
    assert AccuracyScale.around(0.9991).format == ".2%"


def test_all_products_have_one_scale() -> None:
    svg = draw_accuracy([*points("Fraud", 0.9991, 1), *points("Rent", 1, 1)], ["Fraud", "Rent"])

    assert svg.count(">99.90%<") == svg.count(">100.00%<") == 2, "once for each product"
    assert 'role="img" aria-label="Accuracy of each product over time' in svg
    assert Tags(svg).open == []


def test_the_end_after_a_healing_is_marked() -> None:
    drawn = draw_accuracy(points("Fraud", 0.9, 0.9, healed=1.0), ["Fraud"], "after the healing")
    without = draw_accuracy(points("Fraud", 0.9, 0.9), ["Fraud"])

    assert "The diamond: after the healing." in drawn
    assert "diamond" not in without
    assert "Fraud 100 % at the end" in drawn
    [last] = re.findall(r"L([\d.]+),([\d.]+)\" stroke=\"#0072B2\"", drawn)
    assert last[1] == "0", "at the top"


@pytest.mark.parametrize("history", [[], points("Fraud", 0.5), points("Fraud", 0.5, healed=1.0)])
def test_one_comparison_is_no_history(history: list[AccuracyPoint]) -> None:
    assert draw_accuracy(history, ["Fraud"]) == ""


def test_two_years_of_every_week_fit_a_mail() -> None:
    many = [point for number in range(7) for point in points(f"Product {number}", *[0.99, 1.0] * 52)]

    assert len(draw_accuracy(many, [f"Product {number}" for number in range(7)])) < 100_000


def test_a_product_has_a_ring_a_dot_and_a_stroke() -> None:
    svg = draw_products([ProductNumbers("<Fraud> & Co", 0, 1_226, 1_226), ProductNumbers("Rent", None, None, 3)])

    assert "&lt;Fraud&gt; &amp; Co: before 0, after 1,226, should be 1,226; Rent: should be 3" in svg
    assert ">1,000<" in svg
    assert Tags(svg).open == []


def test_nothing_is_drawn_of_nothing() -> None:
    assert draw_products([]) == draw_products([ProductNumbers("Fraud", 0, 0, 0)]) == ""


def test_a_file_is_an_svg_of_its_own_on_white() -> None:
    file = as_file(draw_products([ProductNumbers("Fraud", 0, 5, 5)]))

    assert 'xmlns="http://www.w3.org/2000/svg"' in file
    assert '<rect width="100%" height="100%" fill="#fff"/>' in file


def test_a_share_is_never_rounded_up_to_all() -> None:
    assert (percent(1), percent(0.999999), percent(0.9991)) == ("100 %", "99.99 %", "99.91 %")
