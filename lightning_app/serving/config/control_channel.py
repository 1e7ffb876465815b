"""Control channel between the supervisor and a worker: one JSON object per line, over two inherited pipes.

A worker that reads the end of its channel drains and exits: its supervisor is dead.
"""

from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

Slot: TypeAlias = tuple[str, str]


class ResolvedModel(Struct, frozen=True, kw_only=True):
    """A package on this machine that is served under a name; `models.json` of the runtime folder lists all.

    Attributes:
        name: Name in addresses.
        reference: The model as it was configured: `NAME@champion`, `NAME@3`, or a folder.
        version: Number of the version; None for a folder.
        digest: sha256 of the manifest.
        path: Folder of the package, absolute.
        arm: Arm that it answers as: that of the served model itself, of an experiment, `challenger`, `shadow`, or
            `fallback-1` and so on.
    """

    name: str
    reference: str
    version: int | None
    digest: str
    path: str
    arm: str = "champion"

    @property
    def slot(self) -> Slot:
        """Name and arm: its place, which another version may take."""
        return self.name, self.arm

    @property
    def title(self) -> str:
        """Name and version with the start of the digest, for people."""
        version = "" if self.version is None else f"@{self.version}"
        return f"{self.name}{version} {self.digest[:12]}"


class RefusedVersion(Struct, frozen=True, kw_only=True):
    """A version that an alias points to but that is not served, because it could not be loaded.

    Attributes:
        name: Name in addresses; the version before it is still served.
        version: Number of the version; None for a folder, or if it is not known.
        error: Why it was refused.
        since: When; ISO 8601, UTC.
        arm: Arm that it was to answer as.
    """

    name: str
    version: int | None
    error: str
    since: str
    arm: str = "champion"


class Load(Struct, frozen=True, kw_only=True, tag_field="command", tag="load"):
    """Serve these models: load those that are new, each takes the place of the one of its name and arm.

    Attributes:
        models: All models, those that are loaded already included; arms that are missing answer no more.
    """

    models: list[ResolvedModel]


class ReadKeys(Struct, frozen=True, kw_only=True, tag_field="command", tag="keys"):
    """Read the file of API keys again."""


class RegistryState(Struct, frozen=True, kw_only=True, tag_field="command", tag="registry"):
    """What the supervisor knows of the registry, for readiness detail and metrics.

    Attributes:
        reachable: Whether the registry answered when it was last asked.
        since: Since when it has been so; ISO 8601, UTC.
        refused: Versions that could not be loaded.
    """

    reachable: bool
    since: str
    refused: list[RefusedVersion] = []


class Interval(Struct, frozen=True, array_like=True):
    """Points of keys that an arm answers.

    Attributes:
        arm: Name of the arm.
        start: First point.
        end: End, not included.
    """

    arm: str
    start: float
    end: float


class LinearState(Struct, frozen=True, kw_only=True):
    """Posterior of a linear bandit, as draws.

    Attributes:
        columns: Columns of the request.
        means: Mean of each column.
        scales: Standard deviation of each column.
        floor: Least share of each arm.
        draws: By arm: draws of the weights, each with the intercept first.
    """

    columns: list[str]
    means: list[float]
    scales: list[float]
    floor: float
    draws: dict[str, list[list[float]]]


class ModelRouting(Struct, frozen=True, kw_only=True):
    """Who answers the requests for a model.

    Attributes:
        name: Name of the model in addresses.
        experiment: Id of the experiment or canary.
        layout: Arms by the point of a key; covers [0, 1).
        linear: Posterior of a linear bandit; then the layout is not used.
        facts: What the page shows.
    """

    name: str
    experiment: str
    layout: list[Interval]
    linear: LinearState | None = None
    facts: dict[str, Any] = {}


class Routing(Struct, frozen=True, kw_only=True, tag_field="command", tag="routing"):
    """Who answers the requests for models that have an experiment or a canary.

    Attributes:
        models: The models; one that has a canary in its configuration and is missing here has none at present: the
            champion answers everything.
    """

    models: list[ModelRouting]


class Alive(Struct, frozen=True, kw_only=True, tag_field="event", tag="alive"):
    """Sign of life: the event loop of the worker runs. Said every second."""


class Ready(Struct, frozen=True, kw_only=True, tag_field="event", tag="ready"):
    """All models are loaded, and requests are answered."""


class Loaded(Struct, frozen=True, kw_only=True, tag_field="event", tag="loaded"):
    """A model answers requests from now on.

    Attributes:
        name: Name in addresses.
        arm: Arm that it answers as.
        version: Number of the version.
        digest: sha256 of the manifest.
    """

    name: str
    arm: str
    version: int | None
    digest: str


class Failed(Struct, frozen=True, kw_only=True, tag_field="event", tag="failed"):
    """A model could not be loaded; the one of that name before it still answers.

    Attributes:
        name: Name in addresses.
        arm: Arm that it was to answer as.
        version: Number of the version.
        digest: sha256 of the manifest.
        error: Why, in one line.
    """

    name: str
    arm: str
    version: int | None
    digest: str
    error: str


class Unable(Struct, frozen=True, kw_only=True, tag_field="event", tag="unable"):
    """The worker cannot start, whatever is tried; it exits.

    Attributes:
        error: Why, in one line.
        code: Exit code of the command: 2 if the user can correct it, else 1.
    """

    error: str
    code: int


Command = Load | ReadKeys | RegistryState | Routing
Event = Ready | Loaded | Failed | Unable | Alive


def encode_line(message: Command | Event) -> bytes:
    """A message as a line.

    Args:
        message: Command or event.
    """
    return msgspec.json.encode(message) + b"\n"


def decode_command(line: bytes) -> Command:
    """The command of a line.

    Args:
        line: JSON.

    Raises:
        msgspec.ValidationError: It is no command.
    """
    return msgspec.json.decode(line, type=Command)


def decode_event(line: bytes) -> Event:
    """The event of a line.

    Args:
        line: JSON.

    Raises:
        msgspec.ValidationError: It is no event.
    """
    return msgspec.json.decode(line, type=Event)
