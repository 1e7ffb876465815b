"""GraphSpec: everything that turns tables of nodes and edges into inputs of a model; JSON."""

import msgspec

from features.spec_json import decode_spec, encode_spec

VERSION = 1


class GraphSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How tables of nodes and edges are prepared.

    Attributes:
        id: Node column of ids.
        source: Edge column of source ids.
        target: Edge column of target ids.
        features: Node columns of features, in the order of the model.
        graph: Column of the graph's id, in both tables; None for a single graph.
        weight: Edge column of weights; None if edges have none.
        directed: Whether the direction of edges is kept; otherwise each gets its reverse.
        normalize: Whether each node's features are divided by their sum if that exceeds 1.
        version: Version of the format.
    """

    id: str
    source: str
    target: str
    features: tuple[str, ...]
    graph: str | None = None
    weight: str | None = None
    directed: bool = False
    normalize: bool = False
    version: int = VERSION

    @property
    def node_columns(self) -> tuple[str, ...]:
        """Columns that are read of the table of nodes."""
        return (*([] if self.graph is None else [self.graph]), self.id, *self.features)

    @property
    def edge_columns(self) -> tuple[str, ...]:
        """Columns that are read of the table of edges."""
        graph = [] if self.graph is None else [self.graph]
        return (*graph, self.source, self.target, *([] if self.weight is None else [self.weight]))

    def to_json(self) -> bytes:
        """Serializes to UTF-8 JSON; equal specs give equal bytes."""
        return encode_spec(self)

    @classmethod
    def from_json(cls, content: bytes) -> "GraphSpec":
        """Parses and checks a spec.

        Args:
            content: UTF-8 JSON.

        Raises:
            ValueError: The content is no spec, or of a newer version.
        """
        spec = decode_spec(content, cls, newest=VERSION)
        for columns in (spec.node_columns, spec.edge_columns):
            if twins := sorted({name for name in columns if columns.count(name) > 1}):
                raise ValueError(f"columns: {twins[0]!r} has two roles; give it one")
        return spec
