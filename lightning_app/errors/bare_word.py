"""Bare word: a word of a command line without an option before it, where verbs take options alone."""

from pathlib import Path


def advice_on_bare_word(word: str) -> str:
    """How to give what a word names: a run folder, a checkpoint or a config.

    Args:
        word: The word.
    """
    path = Path(word)
    if (path / "config.yaml").is_file():
        checkpoints = path / "checkpoints"
        if not (checkpoints / "best.ckpt").exists():
            return f"a run folder goes with --ckpt_path, and its config with -c {path / 'config.yaml'}"
        return (
            f"a run folder goes with an option, --ckpt_path {checkpoints / 'best.ckpt'} (a fit goes on from last.ckpt),"
            " which brings its config along; other configs go with -c"
        )
    if path.suffix == ".ckpt":
        return f"a checkpoint goes with an option, --ckpt_path {word}, and -c CONFIG if it lies in no run folder"
    if path.suffix in (".yaml", ".yml"):
        return f"a config goes with an option, -c {word}"
    return "no such option; a config goes with -c, a run folder or checkpoint with --ckpt_path; --help lists the rest"
