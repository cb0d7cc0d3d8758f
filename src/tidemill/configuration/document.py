"""YAML as a tree whose every part knows its line and column."""

from dataclasses import dataclass

import yaml

from tidemill.configuration.mistakes import Mistake, Place

MOST_DEPTH = 20

_BEGINS = (
    yaml.FlowSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.BlockMappingStartToken,
)
_ENDS = (yaml.FlowSequenceEndToken, yaml.FlowMappingEndToken, yaml.BlockEndToken)


@dataclass(frozen=True, slots=True)
class Node:
    """A part of a document: a scalar's value, a list of nodes, or nodes by key with their keys."""

    value: "object | list[Node] | dict[str, Node]"
    place: Place
    key_place: Place | None = None

    @property
    def at(self) -> Place:
        """Where a complaint about it points to: its key, else itself."""
        return self.key_place or self.place


def parse(text: str, file: str) -> tuple[Node | None, list[Mistake]]:
    """The tree of a document, None where it is empty or no YAML, and what is wrong with its form.

    Keys that stand twice are told, the first one counts. Aliases and tags are not followed: a
    configuration needs none, and they can make a small file huge.
    """
    mistakes: list[Mistake] = []
    try:
        root = yaml.compose(_checked(text), Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file)
        return None, [Mistake(place, f"this is no YAML: {error.problem or error.context}")]
    except yaml.YAMLError as error:
        return None, [Mistake(Place(file), f"this is no YAML: {' '.join(str(error).split())}")]
    if root is None:
        return None, []
    return _Reader(file, mistakes).node(root), mistakes


def _checked(text: str) -> str:
    """The same text; refuses aliases and deep nesting before time is spent on them."""
    depth = 0
    for token in yaml.scan(text, Loader=yaml.SafeLoader):
        depth += isinstance(token, _BEGINS) - isinstance(token, _ENDS)
        if isinstance(token, yaml.AliasToken):
            raise yaml.MarkedYAMLError(
                problem="aliases (*name) are not supported", problem_mark=token.start_mark
            )
        if depth > MOST_DEPTH:
            raise yaml.MarkedYAMLError(
                problem=f"it is nested deeper than {MOST_DEPTH} levels",
                problem_mark=token.start_mark,
            )
    return text


@dataclass(frozen=True, slots=True)
class _Reader:
    file: str
    mistakes: list[Mistake]

    def node(self, found: yaml.Node, key: yaml.Node | None = None) -> Node:
        at, key_at = self._place(found), self._place(key) if key is not None else None
        if isinstance(found, yaml.MappingNode):
            inner: dict[str, Node] = {}
            for each_key, each in found.value:
                name = str(getattr(each_key, "value", each_key))
                if name in inner:
                    first = inner[name].at
                    text = f"{name} stands here again: it is in line {first.line} already"
                    self.mistakes.append(Mistake(self._place(each_key), text))
                else:
                    inner[name] = self.node(each, each_key)
            return Node(inner, at, key_at)
        if isinstance(found, yaml.SequenceNode):
            return Node([self.node(each) for each in found.value], at, key_at)
        return Node(self._scalar(found, at), at, key_at)

    def _scalar(self, found: yaml.Node, at: Place) -> object:
        constructor = yaml.constructor.SafeConstructor()
        try:
            value: object = constructor.construct_object(found)
        except (yaml.YAMLError, ValueError) as error:
            problem = getattr(error, "problem", None) or error
            self.mistakes.append(Mistake(at, f"this value cannot be read: {problem}"))
            return None
        return value

    def _place(self, found: yaml.Node) -> Place:
        return Place(self.file, found.start_mark.line + 1, found.start_mark.column + 1)
