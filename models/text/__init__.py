"""Text models: pretrained encoders, poolings, and the LightningModules that fine-tune them."""

from models.text.adversarial_training import AdversarialTraining
from models.text.causal_language_model import CausalLanguageModel
from models.text.distilled_text_classifier import DistilledTextClassifier
from models.text.encoder import PretrainedEncoder
from models.text.entity_f1 import EntityF1
from models.text.pooling import AttentionPooling, ClsPooling, MeanPooling
from models.text.reduced_encoder import ReducedEncoder
from models.text.text_classifier import TextClassifier, TextNetwork
from models.text.text_embedder import TextEmbedder
from models.text.token_classifier import TokenClassifier

__all__ = [
    "AdversarialTraining",
    "AttentionPooling",
    "CausalLanguageModel",
    "ClsPooling",
    "DistilledTextClassifier",
    "EntityF1",
    "MeanPooling",
    "PretrainedEncoder",
    "ReducedEncoder",
    "TextClassifier",
    "TextEmbedder",
    "TextNetwork",
    "TokenClassifier",
]
