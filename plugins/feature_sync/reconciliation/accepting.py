"""Accepts known differences: from the form of DAG feature_sync_accept to entries of the table of accepted differences."""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from feature_sync.config.problems import RunConfigError
from feature_sync.config.settings import Settings, load_settings
from feature_sync.config.wording import count_of
from feature_sync.reconciliation.drift import OF_PRODUCTS, DriftClass
from feature_sync.storage.freshness import refuse_unfit_tables
from feature_sync.storage.tables import prepare_tables
from feature_sync.storage.warehouse import Parameters, Row, Warehouse

log = logging.getLogger(__name__)

PARAMETERS = ("class", "ids", "products", "reason", "accepted_until")
MIN_REASON, MAX_REASON = 10, 500
"""Characters of a reason."""
MAX_NAMED = 20
"""Ids that a message names."""


@dataclass(frozen=True, slots=True)
class Request:
    """
    What a person wants to accept.

    ``ids``: of properties, or of records in Salesforce. ``products``: their names in the field table; none means all.
    ``accepted_until``: the last day, in UTC, on which it counts.
    """

    kind: DriftClass
    ids: tuple[str, ...]
    products: tuple[str, ...]
    reason: str
    accepted_until: date


def chosen_parameters(request: Request) -> Parameters:
    """The values that ``fragments/chosen_differences.sql`` binds."""
    return {"class": request.kind.value, "ids": ",".join(request.ids), "products": ",".join(request.products)}


def parse_request(conf: Mapping[str, Any], settings: Settings, today: date) -> Request:
    """
    Read the form.

    :param today: in UTC.
    :raises RunConfigError: naming each parameter, its value and what is allowed.
    """
    problems = [f"{name} is not a parameter; allowed are {', '.join(PARAMETERS)}." for name in conf if name not in PARAMETERS]
    kind = conf.get("class")
    if kind not in {*DriftClass}:
        problems.append(f"class is {kind!r}; allowed are {', '.join(DriftClass)}.")
    ids = _texts("ids", conf.get("ids"), problems)
    if not ids:
        problems.append("ids is empty; it must list ids of properties or of records in Salesforce.")
    if wrong := [each for each in ids if not re.fullmatch(r"[\w-]+", each, flags=re.ASCII)]:
        problems.append(f"ids has {', '.join(map(repr, wrong[:MAX_NAMED]))}; an id has letters, digits, hyphens and underscores.")
    products = _texts("products", conf.get("products"), problems)
    names = [product.name for product in settings.fields.products]
    if unknown := [each for each in products if each not in names]:
        problems.append(f"products has {', '.join(map(repr, unknown[:MAX_NAMED]))}; allowed are {', '.join(names)}.")
    if products and kind in {*DriftClass} - OF_PRODUCTS:
        problems.append(f"products must be empty, because class {kind} is not about a product.")
    reason = conf.get("reason")
    if not isinstance(reason, str) or not MIN_REASON <= len(reason.strip()) <= MAX_REASON:
        problems.append(f"reason is {reason!r}; it must have {MIN_REASON} to {MAX_REASON} characters.")
    until = _day(conf.get("accepted_until"))
    latest = today + timedelta(days=settings.accepted_days_limit)
    if until is None or not today <= until <= latest:
        problems.append(
            f"accepted_until is {conf.get('accepted_until')!r}; it must be a day from {today} to {latest} "
            f"(ACCEPTED_DAYS_LIMIT is {settings.accepted_days_limit})."
        )
    if problems or until is None:
        raise RunConfigError(problems)
    return Request(DriftClass(str(kind)), ids, products, str(reason).strip(), until)


def accept(conf: Mapping[str, Any], run_id: str, accepted_by: str | None) -> dict[str, Any]:
    """
    Accept differences that exist now. Executing it twice leaves one entry for each difference.

    :param accepted_by: the person who started the run, as Airflow knows them.
    :returns: what was accepted, in words, and how many differences.
    :raises RunConfigError: the form is wrong, nobody is known to have started the run, or an id or a product has no such
        difference. Nothing was written.
    :raises GuardError: a table that is read is not as it must be, or too old, so it is not known what differs.
    :raises OwnTableError: the table cannot be created or written to.
    """
    settings = load_settings()
    request = parse_request(conf, settings, datetime.now(UTC).date())
    if not (accepted_by or "").strip():
        raise RunConfigError(["Airflow does not say who started this run. Start it in Airflow's UI, so that your name is known."])
    with Warehouse(settings) as warehouse:
        prepare_tables(warehouse)
        refuse_unfit_tables(warehouse)
        found = warehouse.fetch_all("reconciliation/select_chosen_differences", chosen_parameters(request))
        if problems := request_problems(request, found):
            raise RunConfigError(problems)
        warehouse.execute(
            "reconciliation/record_acceptances",
            {
                **chosen_parameters(request),
                "run_id": run_id,
                "reason": request.reason,
                "accepted_by": accepted_by,
                "accepted_until": request.accepted_until.isoformat(),
            },
        )
    result = (
        f"{count_of(len(found), 'difference')} of class {request.kind} accepted by {accepted_by} until {request.accepted_until}: "
        f"{request.reason}"
    )
    log.info("%s\n%s", result, "\n".join(_line(row) for row in found))
    return {"result": result, "differences": len(found)}


def request_problems(request: Request, found: list[Row]) -> list[str]:
    """
    Find the ids and products that have no such difference.

    :param found: rows of ``reconciliation/select_chosen_differences.sql``.
    """
    problems = []
    known = {row["property_id"] for row in found} | {row["salesforce_id"] for row in found}
    if missing := [each for each in request.ids if each not in known]:
        more = f" and {len(missing) - MAX_NAMED:,} others" if len(missing) > MAX_NAMED else ""
        problems.append(
            f"No difference of class {request.kind} is found for {', '.join(missing[:MAX_NAMED])}{more}. Only what differs now "
            "can be accepted: copy the ids from mismatches.csv of the last weekly run."
        )
    if absent := sorted(set(request.products) - {row["product"] for row in found}):
        problems.append(f"No difference of class {request.kind} is found for the products {', '.join(absent)} of these ids.")
    return problems


def _texts(name: str, value: Any, problems: list[str]) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        problems.append(f"{name} is {value!r}; it must be a list of texts.")
        return ()
    return tuple(dict.fromkeys(stripped for each in value if (stripped := each.strip())))


def _day(value: Any) -> date | None:
    if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        return None


def _line(row: Row) -> str:
    return f"property {row['property_id']}, record {row['salesforce_id']}, {row['product'] or 'no product'}"
