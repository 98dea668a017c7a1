"""YAML without its traps: no key twice, no anchor within itself, nothing but plain values."""

from typing import Any, ClassVar, cast

import yaml
from yaml.composer import Composer, ComposerError

DEEPEST = 30
# Values of a file, each alias counted as what it stands for, since nine lines of anchors can mean
# billions. A list of ImageNet's classes has 8,000.
MOST = 50_000
# Numbers, words, lists and mappings. Dates and `=` are text, sets and bytes are refused.
_PLAIN = {None, "null", "bool", "int", "float", "str", "seq", "map"}


def _is_plain(tag: str | None) -> bool:
    return (tag and tag.rpartition(":")[2]) in _PLAIN


class Loader(Composer, yaml.CSafeLoader):
    """PyYAML's safe loader, which raises YAMLError for what would be read differently than meant.

    Merge keys (``<<``) and anchors work: a merged key is not the same key twice. libyaml parses,
    which takes a fifth of the time, and Python composes, where the checks are.
    """

    yaml_constructors: ClassVar = {
        tag: make for tag, make in yaml.SafeLoader.yaml_constructors.items() if _is_plain(tag)
    }
    yaml_implicit_resolvers: ClassVar = {
        first: [(tag, text) for tag, text in known if _is_plain(tag) or tag.endswith(":merge")]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def __init__(self, stream: bytes) -> None:
        yaml.CSafeLoader.__init__(self, stream)
        Composer.__init__(self)
        # Anchors of the nodes around the present one, None for those without.
        self.around: list[str | None] = []
        # Values so far, and those of every anchor.
        self.count = 0
        self.counts: dict[str, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose a node.

        Raises ComposerError within 30 others, for a node within itself, and for too many values.
        """
        # The stubs of PyYAML leave out what peek_event returns.
        event = cast(yaml.NodeEvent, self.peek_event())  # pyright: ignore[reportUnknownMemberType]
        if isinstance(event, yaml.AliasEvent):
            if event.anchor in self.around:
                problem = f"found *{event.anchor} within &{event.anchor} itself"
                raise ComposerError(None, None, problem, event.start_mark)
            self._add(self.counts.get(event.anchor, 0), event)
            return super().compose_node(parent, index)
        if len(self.around) == DEEPEST:
            problem = f"found more than {DEEPEST} levels of nesting"
            raise ComposerError(None, None, problem, event.start_mark)
        self.around.append(event.anchor)
        before = self.count
        self._add(1, event)
        node = super().compose_node(parent, index)
        self.around.pop()
        if event.anchor:
            self.counts[event.anchor] = self.count - before
        return node

    def _add(self, count: int, event: yaml.NodeEvent) -> None:
        self.count += count
        if self.count > MOST:
            problem = f"found more than {MOST} values"
            raise ComposerError(None, None, problem, event.start_mark)

    # A text or None, but the stubs of PyYAML say that it is a dict.
    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Compose a mapping; raises ComposerError for a key that stands in it twice."""
        node = super().compose_mapping_node(anchor)
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise ComposerError(None, None, "found a list or mapping as key", key.start_mark)
            if (key.tag, key.value) in seen:
                raise ComposerError(None, None, f"found key '{key.value}' twice", key.start_mark)
            seen.add((key.tag, key.value))
        return node
