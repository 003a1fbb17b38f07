"""Every law is broken by a planner with the defect it is there for."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.properties import laws
from tests.properties import mutants as m
from tests.properties.cases import Case, Planner, cases
from tests.properties.laws import LAWS, Law, Unplaceable
from tests.properties.scenarios import SCENARIOS
from tests.support.planning import plan_for

TRIES = 100  # cases by chance after the scenarios: the first that breaks the law ends the search
DEATHS: tuple[tuple[Planner, Law], ...] = (
    (m.starts_without_waiting, laws.reaches_what_is_asked),
    (m.ignores_others_claims, laws.reaches_what_is_asked),
    (m.starts_all_at_once, laws.reaches_what_is_asked),
    (m.ignores_the_window, laws.reaches_what_is_asked),
    (m.commits_before_the_answer, laws.reaches_what_is_asked),
    (m.comes_back_before_the_answer, laws.reaches_what_is_asked),
    (m.creates_before_the_pull, laws.reaches_what_is_asked),
    (m.forgets_to_pull, laws.reaches_what_is_asked),
    (m.forgets_to_retire, laws.reaches_what_is_asked),
    (m.forgets_to_commit, laws.reaches_what_is_asked),
    (m.forgets_to_probe, laws.reaches_what_is_asked),
    (m.forgets_removals, laws.reaches_what_is_asked),
    (m.forgets_to_rename, laws.reaches_what_is_asked),
    (Planner(m.overlooks_rotations), laws.reaches_what_is_asked),
    (m.altering(m.promises_more), laws.reaches_what_is_asked),
    (m.altering(m.never_satisfied), laws.reaches_what_is_asked),
    (m.stops_at_once, laws.keeps_healthy_replicas),
    (m.never_undoes, laws.keeps_healthy_replicas),
    (m.leaves_successors, laws.keeps_healthy_replicas),
    (m.leaves_predecessors_down, laws.keeps_healthy_replicas),
    (m.leaves_names, laws.keeps_healthy_replicas),
    (Planner(lambda p, w, r: m.overlooks_free_gpus(p, w, r) if w.apply else plan_for(p, w, r)),
     laws.stops_first_only_where_it_must),
    (m.undoes_only_on_its_host, laws.one_failure_costs_no_healthy_replica),
    (m.never_undoes, laws.a_failure_after_a_crash_costs_no_healthy_replica),
    (m.starts_all_at_once, laws.a_failure_after_a_crash_costs_no_healthy_replica),
    (m.never_goes_back, laws.goes_back_as_a_whole),
    (m.never_undoes, laws.one_failure_costs_no_healthy_replica),
    (Planner(m.overlooks_leftovers), laws.survives_a_crash),
    (Planner(m.overlooks_leftovers), laws.survives_failures),
    (m.altering(m.touches_what_is_kept), laws.leaves_the_untouched_alone),
    (Planner(m.forgets_its_decisions), laws.moves_nothing_that_was_not_edited),
    (m.forgets_to_start_again, laws.drift_is_put_right),
    (m.altering(m.says_change), laws.drift_is_put_right),
    (Planner(m.stops_strangers), laws.touches_only_its_own),
    (Planner(m.overlooks_others), laws.touches_only_its_own),
    (Planner(m.follows_the_order_of_the_spec), laws.does_not_depend_on_order),
    (m.altering(m.tells_secrets), laws.is_data),
    (m.altering(m.holds_what_is_no_data), laws.is_data),
    (m.altering(m.removes_the_homeless), laws.errors_leave_their_services_alone),
    (m.lists_backwards, laws.needs_come_first),
    (Planner(destroy=m.destroys_too_little), laws.removes_all_of_its_own),
    (Planner(destroy=m.destroys_too_much), laws.removes_all_of_its_own),
)  # fmt: skip


class Died(Exception):
    pass


def dies(planner: Planner, law: Law) -> bool:
    """Whether some case shows the defect."""

    if any(shows(planner, law, case) for case in SCENARIOS):
        return True

    @settings(
        max_examples=TRIES, phases=[Phase.generate], deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=cases)
    def hunt(case: Case) -> None:
        if shows(planner, law, case):
            raise Died

    try:
        hunt()
    except Died:
        return True
    return False


def shows(planner: Planner, law: Law, case: Case) -> bool:
    try:
        law(planner, case)
    except Unplaceable:
        return False
    except (AssertionError, ValueError):
        return True
    return False


@pytest.mark.parametrize(("planner", "law"), DEATHS, ids=[f"{n}-{law.__name__}" for n, (_, law) in enumerate(DEATHS)])
def test_mutant_dies(planner: Planner, law: Law) -> None:
    assert dies(planner, law), f"no case shows what is wrong with this planner ({law.__name__})"


def test_every_law_has_a_mutant() -> None:
    assert {law for _, law in DEATHS} == set(LAWS)
