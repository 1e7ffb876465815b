"""A small table of texts with its features and config: a tiny encoder learns it in a second."""

import random
from pathlib import Path

import polars as pl

from tests.tiny_encoder import tiny_encoder

GOOD = ("gripping", "moving", "superb", "clever", "warm", "funny")
BAD = ("dull", "lifeless", "tedious", "flat")

FEATURES = """
views:
  review:
    request: {title: {type: str}, text: {type: str}}
    features:
      words: {kind: text, columns: [title, text]}
  columns:
    request: {stars: {type: int}, shop: {type: str}}
    features:
      rating: {kind: given, column: stars}
      seller: {kind: vocabulary, column: shop}
labels:
  liked: {kind: column, column: liked}
"""
CONFIG = """
seed_everything: 0
trainer: {max_epochs: 6, log_every_n_steps: 1, accelerator: cpu}
model:
  class_path: models.text.TextClassifier
  init_args:
    encoder: {class_path: models.text.PretrainedEncoder, init_args: {frozen_layers: 0, layer_decay: 0.9}}
    task: models.tasks.BinaryClassification
    optimizer: {class_path: AdamW, init_args: {lr: 0.01}}
    scheduler: WarmupCosine
data:
  class_path: datamodules.text.TextTableDataModule
  init_args:
    definitions: features.yaml
    features: [review]
    rows: reviews.csv
    label: liked
    classes: ["no", "yes"]
    pretrained: tiny
    max_length: 32
    max_tokens: 256
    split: {class_path: datamodules.tabular.RandomSplit, init_args: {train: 0.6, val: 0.2}}
    batch_size: 16
"""
FUSION = """
model:
  class_path: models.tabular.TabularModule
  init_args:
    network:
      class_path: models.fusion.Fusion
      init_args:
        modalities:
          words:
            class_path: models.fusion.TextModality
            init_args:
              encoder: {class_path: models.text.PretrainedEncoder, init_args: {frozen_layers: 0}}
          shop: {class_path: models.fusion.TableModality, init_args: {output_size: 8}}
        combination: {class_path: models.fusion.Gating, init_args: {hidden_size: 8}}
    task: models.tasks.BinaryClassification
    optimizer: {class_path: AdamW, init_args: {lr: 0.01}}
data:
  init_args: {features: [review, columns]}
"""


def write_texts(folder: Path, rows: int = 120) -> Path:
    """Writes reviews.csv, features.yaml, texts.yaml, fusion.yaml and the folder `tiny` of an encoder.

    Args:
        folder: Where.
        rows: Number of reviews.

    Returns:
        The config texts.yaml.
    """
    rng = random.Random(0)
    table = []
    for row in range(rows):
        liked = rng.random() < 0.5
        words = " ".join(rng.choices(GOOD if liked else BAD, k=rng.randint(2, 9)))
        table.append(
            {
                "title": rng.choice(["a film", "this dress"]),
                "text": f"the acting is {words}" if row else None,
                "stars": rng.randint(1, 5),
                "shop": rng.choice(["north", "south"]),
                "liked": "yes" if liked else "no",
            }
        )
    pl.DataFrame(table).write_csv(folder / "reviews.csv")
    (folder / "features.yaml").write_text(FEATURES)
    (folder / "texts.yaml").write_text(CONFIG)
    (folder / "fusion.yaml").write_text(FUSION)
    tiny_encoder(folder / "tiny")
    return folder / "texts.yaml"
