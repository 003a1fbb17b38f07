"""The registries of a project: each asked as the spec says, or as `docker login` on the controller did; and the folder
of the controller where their images are kept on the way to hosts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from deployer.dataclass import dataclass, replace
from deployer.engine.mirrors import pulled_as
from deployer.engine.secrets import SecretStore
from deployer.errors import OperationError
from deployer.images.access import Access, ca_of, docker_login, endpoint_of
from deployer.images.archive import Archive, open_archive
from deployer.images.blobs import BlobStore
from deployer.images.registry import RegistryReader
from deployer.spec.language import Registry
from deployer.values.image_content import ResolvedImage
from deployer.values.images import registry_of
from deployer.values.resolved import Unresolved

USUAL = Registry()


@dataclass(frozen=True, slots=True)
class Registries:
    """`folder`: of the spec, from which its paths go."""

    known: Mapping[str, Registry]
    store: SecretStore
    environment: Mapping[str, str]
    folder: Path = Path()
    offline: bool = False  # none is asked

    def reader(self, image: str) -> RegistryReader:
        """For this image; close it. OperationError for a secret that is not at hand."""
        return RegistryReader(self.access(registry_of(pulled_as(image, self.known))))

    def resolve(self, image: str) -> ResolvedImage:
        """OperationError."""
        with self.reader(image) as reader:
            return replace(reader.resolve(pulled_as(image, self.known)), reference=image)

    def looked_up(self, image: str, archive: str = "") -> ResolvedImage | Unresolved:
        """Why there is no answer is a value."""
        if self.offline and not archive:
            what = f"`--offline`: registry `{registry_of(image)}` would be asked for `{image}`"
            return Unresolved(what, "run `deployer lock` where it can be reached, or bring a bundle from there")
        try:
            return self.archive(archive).image(image) if archive else self.resolve(image)
        except OperationError as error:
            found = error.diagnostic
            said = "; ".join((found.message, *found.evidence[:1]))
            return Unresolved(self.store.redactor.redact(said), found.hint)

    def archive(self, path: str) -> Archive:
        """OperationError for one that cannot be used."""
        return open_archive(self.folder / Path(path).expanduser(), path)

    def blobs(self, pause: Callable[[float], object]) -> BlobStore:
        """Where the controller keeps what it read once for several hosts."""
        home = self.environment.get("XDG_CACHE_HOME") or str(Path(self.environment.get("HOME", "~")) / ".cache")
        return BlobStore(Path(home).expanduser() / "deployer" / "images", pause)

    def access(self, registry: str) -> Access:
        said = self.known.get(registry, USUAL)
        endpoint, ca = endpoint_of(registry, said.plain_http), ca_of(registry, said.ca, self.folder)
        if said.username is not None and said.password is not None:
            secret = said.password.secret
            return Access(registry, endpoint, said.username, self.store.value(secret, host=None), secret, ca)
        login = docker_login(registry, self.environment)
        if login is None:
            return Access(registry, endpoint, ca=ca)
        username, password, is_identity = login
        self.store.redactor.add(password.reveal())
        return Access(registry, endpoint, username, password, ca=ca, identity=is_identity)
