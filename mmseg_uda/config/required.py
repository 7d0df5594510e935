"""Parts of a config without which a tool has nothing to work on."""

from __future__ import annotations

from mmengine.config import Config

__all__ = ['require_model']


def require_model(owner: str, cfg: Config) -> None:
    """Check that a config has a model, which those of pipelines and of data alone have not.

    Args:
        owner: Name of the tool or function that needs it, for errors.
        cfg: The config.

    Raises:
        ValueError: Names the file, if it was read from one.
    """
    if not isinstance(cfg.get('model'), dict):
        found = cfg.filename or 'a config'
        raise ValueError(
            f'{owner}: expected the config of a training, but got {found} without `model`; write '
            'the config that a training is started with'
        )
