"""Laws of plans, over random projects, worlds, orders of steps, crashes and failures."""

from __future__ import annotations

import os
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, reject, settings

from tests.properties.cases import Case, Planner, cases, crowded_cases
from tests.properties.laws import LAWS, Law, Unplaceable
from tests.properties.scenarios import SCENARIOS

EXAMPLES = int(os.environ.get("DEPLOYER_EXAMPLES", "25"))
thorough = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_law_in_scenarios(law: Law) -> None:
    for case in SCENARIOS:
        with suppress(Unplaceable):
            law(Planner(), case)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@thorough
@given(case=cases | crowded_cases)
def test_law(law: Law, case: Case) -> None:
    try:
        law(Planner(), case)
    except Unplaceable:
        reject()
