"""Files of Ansible's to one inventory: what each is, who reads it, and which are refused. Files win in their order."""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import field

from deployer.dataclass import dataclass
from deployer.errors import Diagnostic, SpecError
from deployer.spec.ansible.detect import Written, is_ansible, written_as
from deployer.spec.ansible.groups import AnsibleInventory
from deployer.spec.ansible.ini import read_ini
from deployer.spec.ansible.needed import LONGEST, VAULT
from deployer.spec.ansible.source import AnsibleSource
from deployer.spec.ansible.translate import Translation
from deployer.spec.ansible.yaml import parse_yaml, read_yaml
from deployer.spec.document import decoded
from deployer.spec.files import Files
from deployer.spec.nodes import Node, Source, shown

EXPORT = "run `ansible-inventory -i FILE --list --yaml > inventory.yaml`, and name what it wrote"


@dataclass(slots=True)
class AnsibleFiles:
    """Takes the inventories that are Ansible's, and gives them back as one tree of the language."""

    files: Files
    inventory: AnsibleInventory = field(init=False)
    translation: Translation | None = None
    is_complete: bool = True  # as far as it was read: nothing was too much

    def __post_init__(self) -> None:
        self.inventory = AnsibleInventory(self.files.problems)

    def take(self, data: bytes, path: str) -> bool | None:
        """Whether a file was read; None where it is none of Ansible's. What is wrong is in the problems."""
        top = AnsibleSource(path, data[:4096].decode("utf-8", "replace"))
        if data.startswith(VAULT.encode()):
            message = f"`{path}` is encrypted with Ansible Vault"
            return self._refuse("ansible-vault", message, top, "name an inventory that is not encrypted")
        match written_as(data, path):
            case Written.OWN:
                return None
            case Written.SCRIPT:
                return self._refuse(
                    "ansible-plugin", f"`{path}` is a program, and inventories are not run", top, EXPORT
                )
            case Written.TOML:
                return self._refuse("ansible-plugin", f"`{path}` is for the plugin `toml`", top, EXPORT)
            case Written.ANSIBLE_INI:
                return self._taken(path, lambda: read_ini(AnsibleSource(path, decoded(data, path)), self.inventory))
            case Written.ANSIBLE_YAML:
                return self._take_yaml(data, path)

    def _take_yaml(self, data: bytes, path: str) -> bool | None:
        problems = self.inventory.problems
        known = len(problems.found)
        document = parse_yaml(data, path, problems)
        if document is None:
            return False
        plugin = document.map.get("plugin")
        if plugin is not None:
            message = f"the inventory is made by the plugin `{shown(str(plugin.value), LONGEST)}`"
            problems.add(Diagnostic("ansible-plugin", message, plugin.where, hint=EXPORT))
            return False
        if not is_ansible(document):
            del problems.found[known:]
            return None
        return self._taken(path, lambda: read_yaml(document, self.inventory))

    def _taken(self, path: str, read: Callable[[], None]) -> bool:
        self.inventory.files.append(path)
        known = len(self.inventory.problems.errors)
        try:
            read()
        except SpecError as error:
            self.inventory.problems.extend(error.diagnostics)
            self.is_complete = False
        return len(self.inventory.problems.errors) == known

    def _refuse(self, code: str, message: str, source: Source, hint: str) -> bool:
        self.inventory.problems.add(Diagnostic(code, message, source.where(1, 1), hint=hint))
        return False

    def tree(self, wanted: Set[str] | None) -> Node | None:
        """All that was taken, with the variables that are wanted (None: any); None where that is nothing."""
        if not self.is_complete:
            return None
        self.translation = Translation(self.inventory, self.files, wanted)
        try:
            return self.translation.tree()
        except SpecError as error:
            self.inventory.problems.extend(error.diagnostics)
            return None
