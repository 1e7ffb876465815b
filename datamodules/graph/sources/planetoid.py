"""Planetoid citation graphs: Cora, CiteSeer and PubMed."""

import warnings
from pathlib import Path
from typing import Literal

from torch_geometric.data import Data
from torch_geometric.io import read_planetoid_data
from typing_extensions import override

from datamodules.graph.sources.source import GraphSource, file_checksums
from datamodules.sources import RawFile, data_root, fetch

_PARTS = ("x", "tx", "allx", "y", "ty", "ally", "graph", "test.index")
_URL = "https://github.com/kimiyoung/planetoid/raw/master/data"
_SHA256 = {
    "Cora": {
        "ind.cora.allx": "9419ba2f26f5c35243db64aba110e0f35a04851609e0dc5433450676ca6b8543",
        "ind.cora.ally": "2b998f5cc7fedc86e7f97ca2498f47a1ffc1462c29e2d578b23bf3f62b6e7d71",
        "ind.cora.graph": "58f13302f39dde8852dad6fe6d15b89b077b6d7f837626bce671ef80344b383d",
        "ind.cora.test.index": "297ce89af2b51a6a194181c7dbe1796c6a1cf9cd9349a88383b1b1e227867875",
        "ind.cora.tx": "b9afbaa4a400df991f6f02ef677e1e44da55ffc04801fd02f9e673987829226a",
        "ind.cora.ty": "41f5ac76596a1699cc33f53084a2419e92961c42bb75f36fc38e616d348532ad",
        "ind.cora.x": "23cfa55d91c6f624233f5eb7b6e3f141f1bd2b2ae39608a63cf5d084bb27baab",
        "ind.cora.y": "94465c14eb53e04ca262198dcbb2521ee8af60fb3f3d546cd6ca24a511b0e7d1",
    },
    "CiteSeer": {
        "ind.citeseer.allx": "2ac30345d95c9ec933a817ee0bdd6a5f077f8c184a20e696910192d534414668",
        "ind.citeseer.ally": "f704b2d986dde6c2669934de1f3ae5696a6cf9455c0f6b2646a2d135ea0a1c95",
        "ind.citeseer.graph": "d79a4ef9d3e7169aee8946145f6b7306e35bc79bffad26346cfb94e10e9912a7",
        "ind.citeseer.test.index": "2af990671580b6b2df5d158d1038f8292e30c9cd821b5453f399659b25b723d4",
        "ind.citeseer.tx": "539a8906a2da97628d212f2fdd668c109a8b3f0d36574b59e5d3fd5b5303da21",
        "ind.citeseer.ty": "55e5bd1ba1e733a04598753ad1a8d57957f4b8f89e74519f41f4f4938767e4ce",
        "ind.citeseer.x": "d20de19150741e555de0ed037195630fc194114ebc7fd72ced62810148aa22f6",
        "ind.citeseer.y": "8ba87e515d8e3ee3cf52f6d2c5b86aa73f11ecad825a808455209ec26cd54924",
    },
}


class Planetoid(GraphSource):
    """Cora (2,708 papers, 7 classes), CiteSeer (3,327, 6) or PubMed (19,717, 3), with the split of Yang et al.

    Nodes are papers, edges citations; features are words, not normalised. The split has 20 training papers per class,
    500 for validation and 1,000 for test (Yang et al., Planetoid, ICML 2016). The 15 papers of CiteSeer without words
    have no label either; as is usual in the literature they belong to class 0, and the public split contains none of
    them.

    The published files are pickles, which can run any code when loaded. Therefore all checksums are verified before
    the first one is opened. Those of PubMed are not known to this project: it is read only with a file `SHA256SUMS`
    beside it, written by `sha256sum ind.pubmed.*`, with which the user vouches for the eight files.

    Args:
        name: Name of the graph.
        root: The data root, see `data_root`; the files are in `planetoid/<name>/raw/` below it.
    """

    def __init__(self, *, name: Literal["Cora", "CiteSeer", "PubMed"], root: str | Path | None = None) -> None:
        if name not in ("Cora", "CiteSeer", "PubMed"):
            raise ValueError(f"data.graph.name: {name!r} given, allowed are Cora, CiteSeer and PubMed")
        self._name = name
        self.root = root

    @property
    @override
    def name(self) -> str:
        return self._name

    @override
    def load(self) -> Data:
        folders = {fetch(raw, root=self.root).parent for raw in self._files()}
        (folder,) = folders
        with warnings.catch_warnings():  # numpy and scipy warn about deprecated names inside the pickles
            warnings.simplefilter("ignore")
            data = read_planetoid_data(str(folder), self._name.lower())
        data.split_name = "planetoid_public"
        return data

    @override
    def checksums(self) -> dict[str, str]:
        return file_checksums(self._files(), root=self.root)

    def _files(self) -> list[RawFile]:
        names = [f"ind.{self._name.lower()}.{part}" for part in _PARTS]
        pins = _SHA256[self._name] if self._name in _SHA256 else self._own_pins(names)
        return [
            RawFile(path=f"planetoid/{self._name}/raw/{name}", url=f"{_URL}/{name}", sha256=pins[name])
            for name in names
        ]

    def _own_pins(self, names: list[str]) -> dict[str, str]:
        """Checksums from the user's `SHA256SUMS`."""
        sums = data_root(self.root) / "planetoid" / self._name / "raw" / "SHA256SUMS"
        advice = (
            f"Its files are pickles, which can run any code, and this project knows no checksums of them. Get the "
            f"eight files {names[0]}, ... from {_URL} from a place you trust, then run `sha256sum "
            f"ind.{self._name.lower()}.* > SHA256SUMS` in {sums.parent}"
        )
        if not sums.exists():
            raise ValueError(f"data.graph: {self._name} is not read: {sums} does not exist. {advice}")
        # A line is "<sum>  <name>", with a star before the name for files read in binary mode.
        pairs = (line.split(maxsplit=1) for line in sums.read_text(encoding="utf-8").splitlines() if line.strip())
        pins = {pair[-1].strip().lstrip("*"): pair[0].lower() for pair in pairs}
        missing = [name for name in names if name not in pins]
        if missing:
            raise ValueError(f"data.graph: {self._name} is not read: {sums} has no line for {missing[0]}. {advice}")
        return pins
