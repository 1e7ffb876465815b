import os
import stat
from pathlib import Path
from typing import Any

import pytest
import torch

from callbacks import DurableCheckpointIO


def test_a_checkpoint_is_written_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "last.ckpt"
    DurableCheckpointIO().save_checkpoint({"state_dict": {"w": torch.ones(3)}}, path)
    assert torch.equal(DurableCheckpointIO().load_checkpoint(path)["state_dict"]["w"], torch.ones(3))
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]


def test_a_checkpoint_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    DurableCheckpointIO().save_checkpoint({}, tmp_path / "last.ckpt")
    assert stat.S_IMODE((tmp_path / "last.ckpt").stat().st_mode) == stat.S_IMODE((tmp_path / "other").stat().st_mode)


def half(checkpoint: Any, file: Any) -> None:
    file.write(b"PK half a checkpoint")


def test_an_error_while_writing_keeps_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(checkpoint: Any, file: Any) -> None:
        half(checkpoint, file)
        raise OSError(28, "No space left on device")

    path = tmp_path / "last.ckpt"
    DurableCheckpointIO().save_checkpoint({"step": 1}, path)
    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OSError, match="No space left"):
        DurableCheckpointIO().save_checkpoint({"step": 2}, path)
    assert torch.load(path) == {"step": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_process_killed_while_writing_keeps_the_old_checkpoint(tmp_path: Path) -> None:
    def dies(checkpoint: Any, file: Any) -> None:
        half(checkpoint, file)
        file.flush()
        os._exit(9)

    path = tmp_path / "last.ckpt"
    DurableCheckpointIO().save_checkpoint({"step": 1}, path)
    child = os.fork()
    if child == 0:
        torch.save = dies
        DurableCheckpointIO().save_checkpoint({"step": 2}, path)
    os.waitpid(child, 0)
    assert torch.load(path) == {"step": 1}
