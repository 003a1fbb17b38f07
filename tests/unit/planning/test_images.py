"""Images in a plan: what brings them, how much of them is missing, and which of them is meant."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deployer.planning.former import choose_former
from deployer.planning.local_images import is_there
from deployer.planning.planner import ALL, plan_rollback
from deployer.planning.planner import plan as planned
from deployer.spec.project import Project
from deployer.values.facts import Disk, HostFacts, ImageFact, ObservedState
from deployer.values.image_content import Blob, ImageContent, ResolvedImage, chain_ids
from deployer.values.operations import CreateContainer
from deployer.values.plan import Action, Cause, Plan, Step
from deployer.values.resolved import Resolved, Unresolved
from deployer.values.transfers import LoadImage, PullImage
from tests.support.planning import errors_of, plan_for, project_of
from tests.support.walk import Walk
from tests.support.world import World

NAME = "reg.local/stub:1"
Known = ResolvedImage | Unresolved


def sha(text: str) -> str:
    return "sha256:" + text * 64


def content(config: str = "c", manifest: str = "d", platform: str = "linux/amd64") -> ImageContent:
    layers = (Blob(sha("1"), 100 << 20), Blob(sha("2"), 50 << 20), Blob(sha("3"), 10 << 20))
    return ImageContent(
        platform, Blob(sha(config), 1000), layers, (sha("4"), sha("5"), sha("6")), Blob(sha(manifest), 500)
    )


def image(config: str = "c", **about: Any) -> ResolvedImage:
    return ResolvedImage(NAME, sha("e"), {"linux/amd64": content(config)}, **about)


def project(hosts: dict[str, Any] | None = None, **service: Any) -> Project:
    return project_of({"chat": {"image": {"name": NAME}, **service}}, hosts or {"h1": {}})


def found(known: Known | None, hosts: dict[str, Any] | None = None, **about: Any) -> Plan:
    resolved = Resolved(images={NAME: known} if known is not None else {}, **about)
    return plan_for(project(hosts), World({"h1": 0}), resolved)


def only(plan: Plan) -> Step:
    (step,) = [step for step in plan.steps if isinstance(step.operation, PullImage | LoadImage)]
    return step


def test_what_was_looked_up_is_pulled_by_its_digest() -> None:
    step = only(found(image()))
    assert step.operation == PullImage(
        NAME, "reg.local", sha("e"), tuple(sorted((sha("c"), sha("d"), sha("e")))), 160 << 20
    )
    assert step.bytes == 160 << 20


@pytest.mark.parametrize("known", [None, Unresolved("nobody listens")])
def test_what_nobody_could_look_up_is_pulled_by_its_name(known: Known | None) -> None:
    plan = found(known)
    assert only(plan).operation == PullImage(NAME, "reg.local")
    assert only(plan).bytes is None
    assert errors_of(plan) == []


def test_layers_that_are_there_are_not_counted() -> None:
    chains = chain_ids((sha("4"), sha("5"), sha("6")))
    assert only(found(image(), layers={"h1": chains[:2]})).bytes == 10 << 20
    assert only(found(image(), layers={"h1": (sha("5"),)})).bytes == 160 << 20
    assert only(found(image(), layers={"h1": chains})).bytes == 0


def test_the_controller_brings_it_where_the_host_reaches_no_registry() -> None:
    step = only(found(image(), {"h1": {"fetch": "controller"}}))
    assert step.operation == LoadImage(NAME, content(), sha("e"))
    assert step.bytes == 160 << 20


def test_an_archive_is_brought_to_every_host() -> None:
    step = only(found(image(pinned=True, archive="stub.tar")))
    assert step.operation == LoadImage(NAME, content(), sha("e"), "stub.tar")


@pytest.mark.parametrize("service", [{}, {"image": {"name": NAME, "archive": "stub.tar"}}])
def test_what_the_controller_cannot_bring_is_an_error(service: dict[str, Any]) -> None:
    hosts = {} if service else {"fetch": "controller"}
    known = Unresolved("the file is not there", "correct the path")
    plan = plan_for(project({"h1": hosts}, **service), World({"h1": 0}), Resolved(images={NAME: known}))
    assert errors_of(plan) == ["image-unresolved"]
    (problem,) = [p for p in plan.problems if p.code == "image-unresolved"]
    assert problem.hint == "correct the path"


def test_an_image_for_other_processors() -> None:
    other = ResolvedImage(NAME, sha("e"), {"linux/arm64": content(platform="linux/arm64")})
    assert errors_of(found(other, {"h1": {"fetch": "controller"}})) == ["image-architecture"]
    assert errors_of(found(other)) == []  # whose registry may have more by then


# --- which image is meant ---------------------------------------------------------------------


def facts(*images: ImageFact, disks: tuple[Disk, ...] = ()) -> HostFacts:
    return replace(World({"h1": 0}).facts("h1", ("/srv/models/m.gguf",)), images=images, disks=disks)


def test_a_tag_is_enough_unless_the_image_is_pinned() -> None:
    here = facts(ImageFact(sha("9"), tags=(NAME,)))
    assert is_there(here, NAME)
    assert is_there(here, NAME, image())
    assert not is_there(here, NAME, image(pinned=True))
    for there in (
        ImageFact(sha("c")),  # as Docker knows it by its config
        ImageFact(sha("d")),  # with containerd's store, by its manifest
        ImageFact(sha("9"), digests=(f"mirror.local/stub@{sha('e')}",)),
    ):
        assert is_there(facts(there), NAME, image(pinned=True))
    assert is_there(facts(ImageFact(sha("c"))), f"reg.local/stub@{sha('e')}", image())
    assert is_there(facts(ImageFact(sha("8"))), NAME, ResolvedImage(NAME, None, {}, True, seen=(sha("8"),)))


def running(known: Known) -> tuple[World, Project]:
    world, spec = World({"h1": 0}), project()
    plan = plan_for(spec, world, Resolved(images={NAME: known}))
    assert not Walk(world, plan.steps).run().failed
    return world, spec


def planned_with(world: World, spec: Project, ids: dict[str, str], known: Known) -> Plan:
    """`ids`: of the image, and of what the container was made of."""
    here = world.facts("h1", ("/srv/models/m.gguf",), (spec.spec.project, spec.spec.id or ""))
    containers = tuple(replace(c, image_id=ids["container"]) for c in here.containers)
    seen = replace(here, containers=containers, images=(ImageFact(ids["image"], tags=(NAME,)),))
    return planned(spec, ObservedState({"h1": seen}), Resolved(images={NAME: known}))


def test_a_tag_that_moved_changes_nothing() -> None:
    world, spec = running(image())
    same = {"image": sha("7"), "container": sha("c")}
    assert planned_with(world, spec, same, image("7")).is_empty
    assert planned_with(world, spec, same, Unresolved("nobody listens")).is_empty


def test_a_lock_that_moved_replaces_what_runs() -> None:
    world, spec = running(image())
    same = {"image": sha("c"), "container": sha("c")}
    assert planned_with(world, spec, same, image("c", pinned=True)).is_empty
    upgraded = ResolvedImage(NAME, sha("f"), {"linux/amd64": content("7", "8")}, pinned=True)
    plan = planned_with(world, spec, same, upgraded)
    (change,) = plan.changes
    assert (change.action, change.cause) == (Action.REPLACE, Cause.CHANGE)
    assert [reason.code for reason in change.reasons] == ["image-moved"]
    assert only(plan).operation == PullImage(
        NAME, "reg.local", sha("f"), tuple(sorted((sha("7"), sha("8"), sha("f")))), 160 << 20
    )
    (create,) = [s.operation for s in plan.steps if isinstance(s.operation, CreateContainer)]
    assert set(create.image_ids) == {sha("7"), sha("8"), sha("f")}


def test_a_container_of_another_image_than_the_locked_one_is_replaced() -> None:
    """Somebody pulled the tag by hand, and the container was made of the old one."""
    world, spec = running(image())
    plan = planned_with(world, spec, {"image": sha("c"), "container": sha("0")}, image("c", pinned=True))
    assert [change.action for change in plan.changes] == [Action.REPLACE]
    assert not [s for s in plan.steps if isinstance(s.operation, PullImage)]


# --- going back over a tag that moved ---------------------------------------------------------


class Retagged:
    """A service with a fixed port, whose successor has the very name of what it replaces: only the image differs.
    `ids`: of the image that each container was made of."""

    def __init__(self, *numbers: str) -> None:
        self.world, self.ids = World({"h1": 0}), dict[str, str]()
        self.spec = project(port=8001)
        for number in numbers:
            self.known = image(number, pinned=True)
            plan = planned(self.spec, self.seen(), Resolved(images={NAME: self.known}))
            assert not Walk(self.world, plan.steps).run().failed
            for box in self.world.all_boxes:
                self.ids.setdefault(box.id, sha(number))

    def seen(self) -> ObservedState:
        here = self.world.facts("h1", ("/srv/models/m.gguf",))
        containers = tuple(replace(c, image_id=self.ids[c.id]) for c in here.containers)
        images = tuple(
            ImageFact(id_, tags=(NAME,) if id_ == sha("c") else ()) for id_ in sorted(set(self.ids.values()))
        )
        return ObservedState({"h1": replace(here, containers=containers, images=images)})

    def back(self) -> Plan:
        seen = self.seen()
        return plan_rollback(self.spec, seen, Resolved(), choose_former(self.spec, seen, ALL))

    def images(self, status: str) -> list[str]:
        return [self.ids[box.id][7] for box in self.world.all_boxes if box.status == status]


def test_what_ran_the_former_image_of_a_tag_is_kept_and_comes_back() -> None:
    there = Retagged("1", "2")
    assert (there.images("running"), there.images("exited")) == (["2"], ["1"])
    assert planned(there.spec, there.seen(), Resolved(images={NAME: there.known})).is_empty
    plan = there.back()
    assert errors_of(plan) == []
    assert not [s for s in plan.steps if isinstance(s.operation, CreateContainer)], "the very container"
    Walk(there.world, plan.steps).run()
    assert (there.images("running"), there.images("exited")) == (["1"], ["2"])


def test_of_the_former_images_of_a_tag_the_last_one_is_kept() -> None:
    there = Retagged("1", "2", "3")
    assert (there.images("running"), there.images("exited")) == (["3"], ["2"])


def test_a_hold_over_a_tag_that_moved_ends_with_the_image_of_today() -> None:
    there = Retagged("1", "2")
    Walk(there.world, there.back().steps).run()
    plan = planned(there.spec, there.seen(), Resolved(images={NAME: there.known}))
    Walk(there.world, plan.steps).run()
    for box in there.world.all_boxes:
        there.ids.setdefault(box.id, sha("2"))
    assert (there.images("running"), there.images("exited")) == (["2"], ["1"])
    assert planned(there.spec, there.seen(), Resolved(images={NAME: there.known})).is_empty


# --- disks --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("free", "fits"), [(300, False), (500, True)])
def test_layers_count_on_the_disk_of_docker(free: int, fits: bool) -> None:
    disks = (
        Disk("/var/lib/deployer/cache", "/srv", 1 << 40, 1 << 40),
        Disk("/var/lib/docker", "/var", 1 << 40, free << 20),
    )
    plan = planned(project(), ObservedState({"h1": facts(disks=disks)}), Resolved(images={NAME: image()}))
    assert errors_of(plan) == ([] if fits else ["disk-too-small"])
    if not fits:
        (problem,) = [p for p in plan.problems if p.code == "disk-too-small"]
        assert problem.evidence == (
            "300.0 MiB are free on `/var`",
            f"160.0 MiB of image {NAME} are missing, about 320.0 MiB once unpacked",
        )
        assert "docker system df" in (problem.hint or "")
