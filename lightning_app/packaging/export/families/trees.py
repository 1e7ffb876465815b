"""Exporter of boosted trees: the graph is written as the tree operator of ONNX, not traced."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from lightning_app.evaluation.column_gain import gain_page
from lightning_app.packaging.export.families.tabular import TabularExporter
from lightning_app.packaging.export.families.tree_graph import ML_OPSET, WORD, TreeNode, num_words
from lightning_app.packaging.export.onnx_file import write_onnx
from lightning_app.packaging.export.onnx_notes import drop_unused_domains, write_notes
from lightning_app.packaging.format.manifest import TensorSpec
from models.tasks.task import TabularTask
from models.trees import BoostedTrees, TreeEnsemble

_SUMS = "sums"


class TreesExporter(TabularExporter):
    """`BoostedTrees` on a feature table."""

    module: BoostedTrees
    not_optimized = (
        "trees have thresholds and no weights to round or cut (fp16, int8, pruned); for a smaller package fit fewer "
        "rounds or leaves"
    )

    @override
    def onnx(self) -> bytes:
        from onnx import TensorProto, helper

        network: TreeEnsemble = self.module.network
        answer = self._answer_graph(network)
        nodes, constants = self._row_columns()
        trees = TreeNode(network.arrays(), cardinalities=self._cardinalities(), words=self._words())
        nodes.append(trees.write("columns", _SUMS))
        types = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64, "bool": TensorProto.BOOL}
        graph = helper.make_graph(
            [*nodes, *answer.graph.node],
            "trees",
            [helper.make_tensor_value_info(spec.name, types[spec.dtype], spec.shape) for spec in self.inputs],
            list(answer.graph.output),
            [*constants, *answer.graph.initializer],
        )
        opsets = [*answer.opset_import, helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=answer.ir_version)
        write_notes(model, inputs=self.inputs, outputs=self.outputs, state=())
        drop_unused_domains(model)
        return bytes(model.SerializeToString())

    @property
    @override
    def extra_files(self) -> Mapping[str, bytes]:
        columns = [name for spec in self.inputs if spec.name != "missing" for name in spec.columns or ()]
        columns += [f"vector_{place}" for place in range(self.module.vector_size)]
        page = gain_page(self.module.network.gain.numpy(), columns)
        return {**super().extra_files, "gain.md": page.encode()}

    def _answer_graph(self, network: TreeEnsemble) -> Any:
        """From the sums of the leaves to the answer of the task, traced."""
        import onnx

        sums = TensorSpec(_SUMS, "float32", ("batch", len(network.base)))
        content = write_onnx(
            _Answer(self.module.task).eval(),
            (torch.zeros(2, len(network.base)),),
            inputs=(sums,),
            outputs=self.outputs,
        )
        return onnx.load_from_string(content)

    def _cardinalities(self) -> dict[int, int]:
        """Number of categories by column of the trees."""
        first = self.module.num_numbers
        return {first + place: size for place, size in enumerate(self.module.cardinalities)}

    def _words(self) -> dict[int, list[int]]:
        """Columns of the operator by column of the trees, for categories of several words: further ones come last."""
        module = self.module
        following = module.num_numbers + len(module.cardinalities) + module.vector_size
        words: dict[int, list[int]] = {}
        for column, size in self._cardinalities().items():
            if (count := num_words(size)) > 1:
                words[column] = [column, *range(following, following + count - 1)]
                following += count - 1
        return words

    def _row_columns(self) -> tuple[list[Any], list[Any]]:
        """Nodes from the inputs of the package to the columns of the operator, and their constants."""
        from onnx import TensorProto, helper, numpy_helper

        module, nodes, parts = self.module, [], []
        constants: dict[str, np.ndarray] = {}
        if module.num_numbers:
            constants["filled"] = module.missing_numbers().numpy()[None]
            nodes.append(helper.make_node("Where", ["missing", "filled", "numbers"], ["known_numbers"]))
            parts.append("known_numbers")
        if module.cardinalities:
            nodes.append(helper.make_node("Cast", ["categories"], ["category_numbers"], to=TensorProto.FLOAT))
            parts.append("category_numbers")
        if module.vector_size:
            parts.append("vectors")
        further = [
            (column - module.num_numbers, WORD * word)
            for column, columns in self._words().items()
            for word in range(1, len(columns))
        ]
        if further:
            places, less = zip(*further, strict=True)
            constants["places"] = np.array(places, dtype=np.int64)
            constants["less"] = np.array([less], dtype=np.float32)
            nodes.append(helper.make_node("Gather", ["category_numbers", "places"], ["repeated"], axis=1))
            nodes.append(helper.make_node("Sub", ["repeated", "less"], ["further_words"]))
            parts.append("further_words")
        nodes.append(helper.make_node("Concat", parts, ["columns"], axis=1))
        return nodes, [numpy_helper.from_array(array, name) for name, array in constants.items()]


class _Answer(nn.Module):
    """The answer of a task from the sums of the leaves."""

    def __init__(self, task: TabularTask) -> None:
        super().__init__()
        self.task = task

    @override
    def forward(self, sums: Tensor) -> tuple[Tensor]:
        """The one output."""
        return (self.task.predict(sums),)
