"""Message pool: protobuf messages from tables of their fields, in a descriptor pool of their own.

Messages that `protoc` generates are registered in one pool per process, and the second definition of the same protocol
in it raises, whoever imports it (github.com/kserve/kserve/issues/3099). A pool of one's own cannot clash.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # type: ignore[import-untyped]

Message: TypeAlias = Any
"""A message, or the class of one; protobuf makes them when they are asked for."""

_TYPES = {
    "double": 1,
    "float": 2,
    "int64": 3,
    "uint64": 4,
    "int32": 5,
    "bool": 8,
    "string": 9,
    "bytes": 12,
    "uint32": 13,
}
_MESSAGE = 11
_OPTIONAL, _REPEATED = 1, 3


class Field(NamedTuple):
    """A field of a message.

    Attributes:
        name: Name.
        number: Number on the wire.
        type: `double`, `string`, ..., or the full name of a message.
        kind: `one`, `many`, or `map` from text to messages of the type.
        choice: Group of fields of which at most one is there; empty for none.
    """

    name: str
    number: int
    type: str
    kind: str = "one"
    choice: str = ""


class MessagePool:
    """Messages of some packages.

    Args:
        packages: Package to message to its fields.
    """

    def __init__(self, packages: Mapping[str, Mapping[str, Sequence[Field]]]) -> None:
        self._pool = descriptor_pool.DescriptorPool()
        for package, messages in packages.items():
            file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
            for name, fields in messages.items():
                message = file.message_type.add(name=name)
                for field in fields:
                    _add(message, field, f".{package}.{name}")
            self._pool.AddSerializedFile(file.SerializeToString())

    def message(self, name: str) -> Message:
        """The class of a message.

        Args:
            name: Full name.
        """
        return message_factory.GetMessageClass(self._pool.FindMessageTypeByName(name))


def _add(message: Message, field: Field, owner: str) -> None:
    """Adds a field to the description of a message."""
    added = message.field.add(name=field.name, number=field.number)
    added.label = _OPTIONAL if field.kind == "one" else _REPEATED
    if field.kind == "map":
        entry = f"{field.name.capitalize()}Entry"
        pairs = message.nested_type.add(name=entry)
        pairs.options.map_entry = True
        _add(pairs, Field("key", 1, "string"), owner)
        _add(pairs, Field("value", 2, field.type), owner)
        added.type, added.type_name = _MESSAGE, f"{owner}.{entry}"
    elif field.type in _TYPES:
        added.type = _TYPES[field.type]
    else:
        added.type, added.type_name = _MESSAGE, f".{field.type}"
    if field.choice:
        names = [choice.name for choice in message.oneof_decl]
        if field.choice not in names:
            message.oneof_decl.add(name=field.choice)
            names.append(field.choice)
        added.oneof_index = names.index(field.choice)
