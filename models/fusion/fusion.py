"""Fusion, a network on rows of several modalities, whose modalities and combination are injected."""

from torch import Tensor, nn
from typing_extensions import override

from models.fusion.combinations import CombinationFactory
from models.fusion.modality import Modality

_KEY = "model.network"


class Fusion(nn.Module):
    """A vector per modality, one vector of them all, and a linear layer.

    Args:
        modalities: Modalities by name; the inputs of the data are divided among them.
        combination: Makes the combination from the sizes of the vectors, e.g. `Gating`.
        output_size: Outputs per row.
        dropout: Dropout before the last layer.
    """

    def __init__(
        self,
        *,
        modalities: dict[str, Modality],
        combination: CombinationFactory,
        output_size: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not modalities:
            raise ValueError(f"{_KEY}.modalities: none given, e.g. TextModality and TableModality are needed")
        self.modalities = nn.ModuleDict(modalities)
        self._inputs = {name: modality.inputs for name, modality in modalities.items()}
        self.combination = combination([modality.output_size for modality in modalities.values()])
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(self.combination.output_size, output_size)
        self.output_size = output_size

    @override
    def forward(self, **inputs: Tensor) -> Tensor:
        """Outputs of each row.

        Args:
            **inputs: Inputs of all modalities, by name.

        Returns:
            (B, output_size).

        Raises:
            ValueError: A modality needs an input that the data lacks, or none reads one that it has.
        """
        for name, needed in self._inputs.items():
            if missing := [one for one in needed if one not in inputs]:
                raise ValueError(
                    f"{_KEY}.modalities.{name}: reads {', '.join(missing)}, the data has {', '.join(inputs)}"
                )
        read = {one for needed in self._inputs.values() for one in needed}
        if unread := [one for one in inputs if one not in read]:
            raise ValueError(
                f"{_KEY}.modalities: none reads {', '.join(unread)} of the data; add a modality, or leave the features "
                "out by data.features"
            )
        parts = [self.modalities[name](**{one: inputs[one] for one in needed}) for name, needed in self._inputs.items()]
        outputs: Tensor = self.output(self.dropout(self.combination(parts)))
        return outputs.float()  # of a lower precision in mixed precision
