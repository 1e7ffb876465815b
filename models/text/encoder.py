"""PretrainedEncoder: token vectors of a pretrained text encoder, frozen by depth, with a learning rate per depth."""

from typing import Any

from torch import Tensor, nn
from typing_extensions import override

from models.layers.dropout import drop
from models.text.pretrained_network import load_network

_KEY = "model.encoder"


class PretrainedEncoder(nn.Module):
    """A text encoder of `transformers`, e.g. BERT, RoBERTa, DistilBERT, MPNet.

    A checkpoint holds its weights, its config and its tokenizer: it loads without the folder that they came from.
    Depth counts from the embeddings, 0, over the layers, 1 to `num_layers`. Frozen parts get no gradient and no
    dropout, and no backward pass runs through them.

    Args:
        pretrained: A folder, `package:NAME`, or `org/name` of the hub, see `features.text.pretrained_folder`; None for
            that of the data, whose tokens it reads.
        frozen_layers: Freezes the embeddings and the first layers, this many: 0 freezes the embeddings alone. None
            freezes nothing.
        layer_decay: Learning rate of a depth over that of the next one: with 0.9 the last layer learns with 0.9 times
            the optimizer's rate, the one before with 0.81 times it.
        dropout: Dropout in layers and embeddings; None for that of the model's config.
        attention_dropout: Dropout of attention weights; None for that of the model's config.
        gradient_checkpointing: Computes activations of the layers again in the backward pass instead of keeping them.

    Attributes:
        hidden_size: Size of a token vector, E.
        num_layers: Number of layers.
        vocab_size: Number of token ids.
        max_length: Most tokens of a text; None without a limit.
    """

    data_arguments = ("pretrained",)

    def __init__(
        self,
        *,
        pretrained: str | None = None,
        frozen_layers: int | None = None,
        layer_decay: float = 1.0,
        dropout: float | None = None,
        attention_dropout: float | None = None,
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        if pretrained is None:
            raise ValueError(f"{_KEY}.pretrained: none given; give the same as data.pretrained")
        if not 0 < layer_decay <= 1:
            raise ValueError(f"{_KEY}.layer_decay: {layer_decay} given, above 0 and at most 1 is needed")
        for name, value in (("dropout", dropout), ("attention_dropout", attention_dropout)):
            if value is not None and not 0 <= value < 1:
                raise ValueError(f"{_KEY}.{name}: {value} given, at least 0 and less than 1 is needed")
        self.pretrained = str(pretrained)
        self.network = self.load(pretrained)
        config: Any = self.network.config
        if config.is_encoder_decoder or getattr(config, "is_decoder", False):
            raise ValueError(
                f"{_KEY}.pretrained: {pretrained} is a {type(self.network).__name__}, which has a decoder; an encoder "
                "such as BERT is needed"
            )
        if getattr(self.network, "pooler", None) is not None:
            self.network.pooler = None  # not used: its weights would never get a gradient
        self.hidden_size = int(config.hidden_size)
        self.vocab_size = int(config.vocab_size)
        self.num_layers = int(config.num_hidden_layers)
        _layers(self.network, self.num_layers)
        if frozen_layers is not None and not 0 <= frozen_layers <= self.num_layers:
            raise ValueError(
                f"{_KEY}.frozen_layers: {frozen_layers} given, {pretrained} has {self.num_layers} layers; 0 "
                "freezes the embeddings alone"
            )
        self.frozen_layers = frozen_layers
        self.layer_decay = layer_decay
        positions = getattr(config, "max_position_embeddings", None)
        offset = config.pad_token_id + 1 if config.model_type in _POSITIONS_AFTER_PAD else 0
        self.max_length = None if not positions or positions < 0 else int(positions) - offset
        _set_dropout(self.network, dropout, attention_dropout)
        if gradient_checkpointing:
            # The former name of the method warns in newer releases.
            former = self.network.gradient_checkpointing_enable
            getattr(self.network, "activation_checkpointing_enable", former)({"use_reentrant": False})
        depths = self._depths()
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_(frozen_layers is None or depths[name] > frozen_layers)
        if frozen_layers is not None:
            learning = {part for layer in self.layers[frozen_layers:] for part in layer.modules()}
            for part in self.network.modules():
                if isinstance(part, nn.Dropout) and part not in learning:
                    part.p = 0.0  # not by eval(), which Lightning takes for a mistake

    def load(self, pretrained: str) -> Any:
        """The network of `transformers`.

        Args:
            pretrained: As of the constructor.
        """
        return load_network("AutoModel", pretrained, key=f"{_KEY}.pretrained")

    @property
    def layers(self) -> nn.ModuleList:
        """The layers, in their order."""
        return _layers(self.network, self.num_layers)

    def _depths(self) -> dict[str, int]:
        """Depth of each parameter by its name in `network`: those outside of the layers count as embeddings."""
        inside = {id(one): depth for depth, layer in enumerate(self.layers, 1) for one in layer.parameters()}
        return {name: inside.get(id(parameter), 0) for name, parameter in self.network.named_parameters()}

    def lr_scales(self) -> dict[nn.Parameter, float]:
        """Learning rate of each parameter over that of the optimizer."""
        depths = self._depths()
        return {
            parameter: self.layer_decay ** (self.num_layers + 1 - depths[name])
            for name, parameter in self.network.named_parameters()
        }

    def undecayed_parameters(self) -> list[nn.Parameter]:
        """Biases and the scales of norms, which have no weight decay."""
        return [parameter for parameter in self.network.parameters() if parameter.ndim < 2]

    def check_data(self, data: Any) -> None:
        """Checks that texts of a data module are tokens of this encoder.

        Args:
            data: Data module; its `vocab_size` and `max_length` count as far as it has them.

        Raises:
            ValueError: It has other or longer tokens.
        """
        vocab_size, max_length = getattr(data, "vocab_size", None), getattr(data, "max_length", None)
        if vocab_size is not None and vocab_size > self.vocab_size:
            raise ValueError(
                f"data.pretrained: its tokenizer has {vocab_size:,} tokens, the encoder {self.pretrained} only "
                f"{self.vocab_size:,}; take the tokenizer of the encoder"
            )
        if max_length is not None and self.max_length is not None and max_length > self.max_length:
            raise ValueError(
                f"data.max_length: {max_length} given, the encoder {self.pretrained} takes at most "
                f"{self.max_length} tokens"
            )

    def token_embeddings(self, token_ids: Tensor) -> Tensor:
        """Embeddings of the tokens, to which those of their positions are added later.

        Args:
            token_ids: int64 (B, L).

        Returns:
            (B, L, E).
        """
        embeddings: Tensor = self.network.get_input_embeddings()(token_ids)
        return embeddings

    @override
    def forward(self, token_ids: Tensor, attention_mask: Tensor, added: Tensor | None = None) -> Tensor:
        """Vectors of the tokens.

        Args:
            token_ids: int64 (B, L).
            attention_mask: 1 token, 0 padding, int64 (B, L).
            added: Added to the embeddings of the tokens, (B, L, E); None for nothing.

        Returns:
            (B, L, E); those of padding mean nothing.
        """
        tokens: dict[str, Tensor] = {"input_ids": token_ids}
        if added is not None:
            tokens = {"inputs_embeds": self.token_embeddings(token_ids) + added}
        hidden: Tensor = self.network(**tokens, attention_mask=attention_mask).last_hidden_state
        return hidden


_POSITIONS_AFTER_PAD = frozenset({"roberta", "xlm-roberta", "camembert", "mpnet", "longformer"})
"""Model types that number positions from the padding id on."""


class _FastDropout(nn.Dropout):
    """`nn.Dropout` that draws fewer random bits, see `models.layers.dropout.drop`."""

    @override
    def forward(self, input: Tensor) -> Tensor:
        return drop(input, self.p) if self.training and self.p else input


def _layers(network: nn.Module, count: int) -> nn.ModuleList:
    """The list of the layers: the outermost one of the right length."""
    for part in network.modules():
        if isinstance(part, nn.ModuleList) and len(part) == count:
            return part
    raise ValueError(f"{_KEY}.pretrained: {type(network).__name__} has no list of {count} layers")


def _set_dropout(network: nn.Module, dropout: float | None, attention_dropout: float | None) -> None:
    for owner in list(network.modules()):
        for name, part in list(owner.named_children()):
            if type(part) is not nn.Dropout:
                continue
            in_attention = "SelfAttention" in type(owner).__name__  # BertSelfAttention, MultiHeadSelfAttention, ...
            given = attention_dropout if in_attention else dropout
            setattr(owner, name, _FastDropout(part.p if given is None else given))
