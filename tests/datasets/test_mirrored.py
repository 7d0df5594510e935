"""Images and their mirror images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import toys
from mmengine.runner import Runner
from mmseg.registry import DATASETS

from mmseg_uda.evaluation import LabelFreeMetric


def views(root: Path) -> Any:
    toys.write_domain(root, 'target', 3, 0)
    dataset = toys.dataset_cfg(root, 'target')
    dataset['pipeline'] = [dict(type='LoadImageFromFile'), dict(type='PackSegInputs')]
    return dict(type='MirroredViews', dataset=dataset)


def test_every_image_twice(tmp_path: Path) -> None:
    dataset = DATASETS.build(views(tmp_path))
    assert len(dataset) == 6
    assert dataset.metainfo['classes'] == toys.METAINFO['classes']
    for index in range(3):
        plain, mirrored = dataset[2 * index], dataset[2 * index + 1]
        assert torch.equal(mirrored['inputs'], plain['inputs'].flip(2))
        assert not plain['data_samples'].get('flip')
        assert mirrored['data_samples'].flip_direction == 'horizontal'
        assert plain['data_samples'].img_path == mirrored['data_samples'].img_path


def test_scores_select_a_checkpoint(tmp_path: Path) -> None:
    """All scores of a validation set without labels; ``save_best`` takes any of them."""
    model = toys.method_cfg('source_only')
    cfg = toys.runner_cfg(tmp_path / 'data', tmp_path / 'run', model, max_iters=4)
    loader = dict(batch_size=2, num_workers=0, dataset=views(tmp_path / 'data'))
    selection = dict(dataloader=loader, evaluator=dict(type='LabelFreeMetric'))
    cfg.val_cfg = dict(
        type='SelectionValLoop', selection=dict(unlabelled=selection), validate_target=False
    )
    cfg.train_cfg.update(val_interval=2, val_begin=0)
    cfg.default_hooks.checkpoint.update(save_best='unlabelled/mirror_agreement', rule='greater')
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert isinstance(runner.val_loop.evaluator.sets['unlabelled'][1].metrics[0], LabelFreeMetric)
    best = [path.name for path in (tmp_path / 'run').glob('best_*.pth')]
    assert len(best) == 1
    assert best[0].startswith('best_unlabelled_mirror_agreement_iter_')
    # Where a network does not know left from right, both predictions are the same.
    for weight in (
        runner.model.student.backbone.stem.weight,
        runner.model.student.backbone.layer.weight,
    ):
        weight.data[:] = 0
    metrics = runner.val()
    assert metrics['unlabelled/mirror_agreement'] == 1
