"""One command's view of the hosts: connected at the first question, closed at its end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from deployer.dataclass import dataclass, replace
from deployer.values.events import Event
from deployer.workflow.inputs import Inputs, load
from deployer.workflow.looking import Connecting, Spoken, begun, speaking
from deployer.workflow.sources import Sources

if TYPE_CHECKING:
    from collections.abc import Mapping, Set

    from deployer.engine.secrets import SecretStore
    from deployer.errors import Diagnostic
    from deployer.planning.former import Back
    from deployer.planning.selection import Selection
    from deployer.spec.project import Project
    from deployer.transport.fleet import Fleet
    from deployer.values.checks import Diagnosis, GpuTrial
    from deployer.values.events import ApplyResult
    from deployer.values.facts import ObservedState
    from deployer.values.history import Applied
    from deployer.values.names import ReplicaKey
    from deployer.values.plan import Plan
    from deployer.values.resolved import Resolved
    from deployer.workflow.orders import Orders

Report = Callable[[Event], object]
CONNECTED_WITHIN = 1.0  # seconds that imports wait for logins, which they would hold up: one interpreter runs both


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan with all it was made from; `destroy`: that nothing of the project be left."""

    project: Project
    observed: ObservedState
    resolved: Resolved
    plan: Plan
    destroy: bool = False
    back: Back | None = None  # where a rollback goes to
    saved_selection: tuple[tuple[str, ...], tuple[str, ...]] | None = None  # of a plan that was read from a file
    resumes: bool = False  # likewise

    @property
    def leaves_open(self) -> bool:
        """There are models that no hub was asked about."""
        from deployer.planning.choice import NOT_ASKED

        return NOT_ASKED in self.resolved.listings.values()


class Session:
    """A project and its hosts. Use it in a `with`."""

    def __init__(self, project: Project, fleet: Fleet, secrets: SecretStore, report: Report) -> None:
        self.project, self.fleet, self.secrets = project, fleet, secrets
        self.report = report
        self.inputs, self.sources = Inputs(), Sources()
        self.said: Resolved | None = None  # by hubs and registries, or a bundle
        self.only: frozenset[ReplicaKey] | None = None  # replicas that are changed; None: all
        self.stuck: frozenset[tuple[str, str]] = frozenset()  # starts of containers that run and serve nobody
        self.meanwhile: Callable[[], object] = lambda: None  # is done while the hosts are looked at

    @classmethod
    def open(cls, inputs: Inputs, report: Report) -> Session:
        """SpecError for a bad spec; no host is reached yet. `report` is told of waits, from any thread."""
        from deployer.engine.secrets import SecretStore
        from deployer.transport.base import ConnectOptions
        from deployer.transport.fleet import Fleet

        sources = Sources()
        project = load(inputs, read=sources.read)
        fleet = Fleet(project.spec.hosts, ConnectOptions(ssh_config=inputs.ssh_config))
        session = cls(project, fleet, SecretStore.of(project, inputs.environment), report)
        session.inputs, session.sources = inputs, sources
        if inputs.bundle is not None:
            from deployer.workflow.bundles import take_up

            take_up(session, inputs.bundle)
        return session

    def carried(self, planned: Planned) -> dict[str, Any]:
        """What a plan file must hold to make this plan again."""
        from deployer.workflow.saved import carried

        return carried(self.inputs, self.sources, planned)

    def take_over(self, saved: Planned) -> None:
        """From here on the saved plan's spec is the one that counts; connections and secrets stay those at hand."""
        from deployer.workflow.saved import refuse_other_project

        refuse_other_project(saved, self.project)
        self.project = saved.project
        limit, target = saved.saved_selection or ((), ())
        self.inputs = replace(self.inputs, limit=limit, target=target, resume=saved.resumes)

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.fleet.close()

    def observe(self, known: ObservedState | None = None, connected: threading.Event | None = None) -> ObservedState:
        """All hosts but those in maintenance or lost, at once; one that cannot be asked is a value that says why.

        Hosts that are `known` are not looked at again. `connected` is set when no host is waited for any more.
        """
        from deployer.docker.ownership import Identity
        from deployer.engine.observe import Question, observe
        from deployer.planning.presence import hosts_to_ask
        from deployer.planning.questions import copies, folders, questions
        from deployer.values.facts import ObservedState

        seen = known.hosts if known is not None else {}
        paths, of_cache, places = questions(self.project), folders(self.project), copies(self.project)
        names = (name for name in hosts_to_ask(self.project.spec) if name not in seen)
        asked = {name: Question(paths[name], of_cache[name], places[name]) for name in names}
        hosts = Connecting(Spoken(self.fleet, self.report), connected or threading.Event())
        found = observe(hosts, asked, Identity(self.project.spec.project, self.project.spec.id))
        if any(facts.image_flags for facts in found.reachable.values()):
            from deployer.planning.askable import with_own_flags

            found = with_own_flags(self.project, found)
        every = ObservedState({**seen, **found.hosts})
        if not self.stuck:
            return every
        from deployer.planning.repair import with_unresponsive

        return with_unresponsive(every, self.stuck)

    def diagnose(self, *, ask_images: bool = False, try_gpus: bool = False) -> Diagnosis:
        """Looks at the hosts and checks what they are and have. `ask_images`: those that are there are asked for their
        flags first, which is written down on the hosts; `try_gpus`: a container is given the GPUs; else nothing is
        changed."""
        from deployer.planning.diagnose import diagnose

        observed = self.observe()
        unasked: Mapping[str, Mapping[str, str]] = {}
        if ask_images:
            from deployer.workflow.asking import ask

            unasked = ask(self, observed, self.report)
            observed = self.observe()
        tried: Mapping[str, GpuTrial] = {}
        if try_gpus:
            from deployer.workflow.proving import prove

            tried = prove(self, observed, self.report)
        return diagnose(self.project, observed, unasked, tried)

    def plan(
        self,
        *,
        destroy: bool = False,
        back: Back | None = None,
        then: Planned | None = None,
        known: ObservedState | None = None,
        asks_hubs: bool = True,
    ) -> Planned:
        """Observes, looks up what lies outside, and plans; changes nothing. `back`: a rollback. `then`: an earlier
        plan, which stands although weights arrived since. `known`: hosts that need no look. Hubs are asked where
        something is to be done, and once; without `asks_hubs` what only they know stays open."""
        from deployer.planning.selection import selection_of

        chosen = replace(selection_of(self.project.spec, self.inputs.limit, self.inputs.target), replicas=self.only)
        connected = threading.Event()
        looking = begun(lambda: self.observe(known, connected))
        connected.wait(CONNECTED_WITHIN)
        from deployer.planning.ahead import prepare
        from deployer.planning.arrivals import without_arrivals
        from deployer.planning.planner import plan, plan_destroy, plan_rollback
        from deployer.workflow.locking import refuse_unlocked_images

        prepare(self.project.spec)
        self.meanwhile()
        said = then.resolved if then is not None else self.said
        resolved = self._resolved(said, destroy=destroy, back=back is not None)
        observed = looking.result()
        if then is not None:
            observed = without_arrivals(observed, then.observed)
        if destroy:
            return Planned(self.project, observed, resolved, plan_destroy(self.project, observed, chosen), True)
        if back is not None:
            found = plan_rollback(self.project, observed, resolved, back, chosen)
            return Planned(self.project, observed, resolved, found, back=back)
        resume = self.inputs.resume
        planned = Planned(
            self.project, observed, resolved, plan(self.project, observed, resolved, chosen, resume=resume)
        )
        if asks_hubs:
            planned = self._with_answers(planned, chosen)
        self.said = planned.resolved
        refuse_unlocked_images(self, planned.plan)
        if planned.plan.questions:
            resolved = replace(planned.resolved, setup=self._ask_setup(planned.plan))
            found = plan(self.project, observed, resolved, chosen, resume=resume)
            planned = replace(planned, resolved=resolved, plan=found)
        return replace(planned, plan=self._confined(planned)) if self.inputs.offline else planned

    def _with_answers(self, first: Planned, chosen: Selection) -> Planned:
        """Where something is to be done, the plan with what hubs and registries say."""
        from deployer.engine.resolve import ask_hubs, left_open
        from deployer.planning.found import with_found
        from deployer.planning.planner import plan
        from deployer.workflow.images import looked_up

        found, resolved, observed = first.plan, first.resolved, first.observed
        if (found.steps or found.has_errors) and left_open(self.project, resolved.listings):
            with speaking(self.report, lambda seconds: f"still asking hubs for models ({seconds:.0f} s)"):
                given = self.project, self.secrets, self.inputs.environment, resolved.listings
                listings = ask_hubs(*given, offline=self.inputs.offline)
            resolved = replace(resolved, listings=with_found(self.project, listings, observed.reachable))
            found = plan(self.project, observed, resolved, chosen, resume=self.inputs.resume)
        asked = looked_up(self, found, resolved)
        if asked is not resolved:
            resolved, found = asked, plan(self.project, observed, asked, chosen, resume=self.inputs.resume)
        return replace(first, resolved=resolved, plan=found)

    def _resolved(self, said: Resolved | None, *, destroy: bool, back: bool) -> Resolved:
        from deployer.engine.resolve import resolve_secrets
        from deployer.values.resolved import Resolved
        from deployer.workflow.images import resolved_of

        if destroy:
            return Resolved()
        if back:
            return resolve_secrets(self.project, self.secrets)
        return resolved_of(self, said)

    def plan_rollback(self, apply: str | None) -> Planned:
        """Chooses where each replica goes back to, and plans that."""
        from deployer.planning.former import choose_former
        from deployer.planning.selection import selection_of

        chosen = selection_of(self.project.spec, self.inputs.limit, self.inputs.target)
        observed = self.observe()
        return self.plan(back=choose_former(self.project, observed, chosen, apply), known=observed)

    def _confined(self, planned: Planned) -> Plan:
        """With an error for whatever would leave the hosts though it must not, or is not in the bundle at hand."""
        from deployer.planning.bundled import AtHand, lacking
        from deployer.planning.offline import outward

        used, found = self.inputs.bundle, planned.plan
        problems: list[Diagnostic] = []
        if used is not None:
            at_hand = AtHand(used.bundle, lambda sha256: used.find(sha256) is not None)
            problems += lacking(found, planned.observed, planned.resolved.layers, at_hand)
        problems += outward(found, self.project.spec, is_brought=used is not None)
        return replace(found, problems=(*found.problems, *problems))

    def _ask_setup(self, found: Plan) -> Mapping[str, Mapping[str, bool]]:
        from deployer.engine.context import ApplyContext
        from deployer.engine.setup import ask_setup

        spec = self.project.spec
        context = ApplyContext(spec.project, spec.id, "", self.secrets)
        return ask_setup(found.questions, context, self.fleet, self.report)

    def apply(self, planned: Planned, orders: Orders) -> ApplyResult:
        """Does what was planned, if the hosts still are what the plan was made for; see `applying`."""
        from deployer.workflow.applying import apply

        self.report = orders.report
        return apply(self, planned, orders)

    def settle(self, planned: Planned) -> tuple[Diagnostic, ...]:
        """What is left to do where nothing is planned; returns warnings. See `applying`."""
        from deployer.workflow.applying import settle

        return settle(self, planned)

    def history(self) -> tuple[tuple[Applied, ...], tuple[Diagnostic, ...]]:
        """What was applied, the last one first, and what is wrong with hosts whose journal cannot be read."""
        from deployer.engine.history import read_history
        from deployer.planning.presence import hosts_to_ask

        return read_history(self.fleet, hosts_to_ask(self.project.spec), self.project.spec.project)

    def health(self, planned: Planned) -> Mapping[str, str]:
        """What each running replica says of itself just now, by the name of its container."""
        from deployer.workflow.health import ask_health

        return ask_health(self.fleet, self.project.spec, planned.observed)

    def gpu_losses(self, planned: Planned, but: Set[tuple[str, str]]) -> Mapping[tuple[str, str], bool | None]:
        """Whether running containers lost their GPUs, by their starts, `but` those; None where nobody can tell."""
        from deployer.workflow.health import ask_gpus

        return ask_gpus(self.fleet, planned.observed, but)
