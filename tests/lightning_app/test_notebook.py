"""What a notebook does: models and data of configs, a plain Trainer, checkpoints without anything at hand, packages."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from torch import nn

import lightning_app
from models import Forecaster, PhaseTransformer
from tests.conftest import CONFIGS


def plain_trainer() -> Trainer:
    return Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def test_a_model_of_a_config_trains_under_a_plain_trainer_loads_alone_and_becomes_a_package(
    fit_args: Callable[..., list[str]], tmp_path: Path
) -> None:
    config = fit_args()[2]
    model, data = lightning_app.build(config, "--model.network.hidden_size", "4")
    trainer = plain_trainer()
    trainer.fit(model, data)
    trainer.save_checkpoint("mine.ckpt")
    assert not Path("runs").exists()

    again = lightning_app.load("mine.ckpt")
    assert not again.training
    past = {"past": torch.randn(2, 48, 2)}
    torch.testing.assert_close(again(**past), model.eval()(**past))

    model.train()
    package = lightning_app.export(model, data, "package", name="waves")
    assert model.training
    assert model.trainer is trainer
    expected = trainer.test(model, data, verbose=False)[0]["test/mse"]
    assert package.manifest.metrics["values"]["test/mse"] == pytest.approx(expected, rel=1e-4)
    assert lightning_app.Package.load("package").manifest.name == "waves"
    with pytest.raises(ValueError, match="package exists"):
        lightning_app.export(model, data, "package")


def test_a_checkpoint_of_a_model_made_in_code_says_what_it_needs(fit_args: Callable[..., list[str]]) -> None:
    _, data = lightning_app.build(fit_args()[2])
    network, loss = PhaseTransformer(look_back=48, horizon=12, period=24, hidden_size=4), nn.L1Loss()
    model = Forecaster(
        network=network, loss=loss, num_channels=2, look_back=48, horizon=12, optimizer=torch.optim.AdamW
    )
    trainer = plain_trainer()
    trainer.fit(model, data)
    trainer.save_checkpoint("code.ckpt")
    with pytest.raises(ValueError, match=r"does not store network and loss: give them again, Forecaster.load_from_"):
        Forecaster.load_from_checkpoint("code.ckpt")
    with pytest.raises(ValueError, match=r"code.ckpt was saved by a Trainer in code"):
        lightning_app.load("code.ckpt")
    assert Forecaster.load_from_checkpoint("code.ckpt", network=network, loss=loss).horizon == 12
    assert lightning_app.export(model, data, "package").manifest.task == "forecast"


@pytest.mark.slow
def test_a_run_is_loaded_and_text_goes_to_tokens_and_back(stream_args: Callable[..., list[str]]) -> None:
    folder = lightning_app.cli.run(stream_args("--trainer.max_epochs", "1")).folder.path
    model, data = lightning_app.load(folder), lightning_app.load_data(folder)
    prompt = "ab cde"
    tokens = data.encode(prompt)
    assert data.decode(tokens[0]) == prompt
    continued = data.decode(model.generate(tokens, 10, temperature=0)[0])
    assert continued.startswith(prompt)
    package = lightning_app.export(model, data, "package")
    assert package.generate(prompt, 10, temperature=0) == continued
    assert package.generate(prompt, 10, seed=1) == package.generate(prompt, 10, seed=1)
    with pytest.warns(UserWarning, match="the model knows no 'Q'"):
        assert np.array_equal(data.encode("aQ")[0], [data.encode("a")[0, 0], 0])
    with pytest.warns(UserWarning, match="the model knows no 'Q'; read as <unk>"):
        package.generate("aQ", 1, seed=1)
    for wrong in (data.encode, lambda text: package.generate(text, 3)):
        with pytest.raises(ValueError, match="at least one char is needed"):
            wrong("")


def test_words_go_on_in_the_line_that_is_being_written(stream_args: Callable[..., list[str]]) -> None:
    _, data = lightning_app.build(stream_args()[2], "--data.level", "word")
    words = [word for word in data.vocabulary if not word.startswith("<")][:2]
    line = " ".join(words)
    assert data.decode(data.encode(line)[0]) == line
    assert data.decode(data.encode(f"{line}\n{words[0]}")[0]) == f"{line}\n{words[0]}"
    assert data.decode(data.encode(f"{line}\n")[0]) == f"{line}\n"


def test_importing_is_light_and_names_what_there_is() -> None:
    code = (
        "import sys, lightning_app; "
        "assert not {'torch', 'numpy', 'polars', 'yaml', 'lightning'} & set(sys.modules); "
        "assert {'Package', 'build', 'cli', 'export', 'load'} < set(dir(lightning_app)); "
        "lightning_app.Package; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": str(CONFIGS.parent)})
    assert dir(lightning_app) == sorted(lightning_app.__all__)
    assert all(getattr(lightning_app, name) for name in lightning_app.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = lightning_app.nothing
