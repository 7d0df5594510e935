"""Images of both domains as one set, and the scores that need them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import toys
from mmengine.runner import Runner
from mmseg.registry import DATASETS

STEPS = [dict(type='LoadImageFromFile'), dict(type='PackSegInputs')]


def both(root: Path, labelled: tuple[bool, bool] = (True, False)) -> dict[str, Any]:
    datasets = []
    for name, count, with_label in zip(('source', 'target'), (4, 3), labelled):
        if not (root / name).exists():
            toys.write_domain(root, name, count, count)
        dataset = toys.dataset_cfg(root, name, train=False)
        annotations = [dict(type='LoadAnnotations')] if with_label else []
        dataset['pipeline'] = [STEPS[0], *annotations, STEPS[1]]
        datasets.append(dataset)
    return dict(type='BothDomains', datasets=datasets)


def test_source_then_target_without_labels(tmp_path: Path) -> None:
    dataset = DATASETS.build(both(tmp_path, (True, True)))
    assert len(dataset) == 7
    assert dataset.metainfo['classes'] == toys.METAINFO['classes']
    samples = [dataset[index]['data_samples'] for index in range(7)]
    assert [sample.domain for sample in samples] == ['source'] * 4 + ['target'] * 3
    assert ['gt_sem_seg' in sample for sample in samples] == [True] * 4 + [False] * 3
    assert ['/source/' in sample.img_path for sample in samples] == [True] * 4 + [False] * 3


def test_two_datasets() -> None:
    with pytest.raises(ValueError, match='datasets: expected source and target, but got 1'):
        DATASETS.build(dict(type='BothDomains', datasets=[[]]))


def config(root: Path, method: str, dataset: Any, **part: Any) -> Any:
    cfg = toys.runner_cfg(root, root / method, toys.method_cfg(method), max_iters=2)
    loader = dict(batch_size=2, num_workers=0, dataset=dataset)
    unlabelled = dict(dataloader=loader, evaluator=dict(type='LabelFreeMetric'), **part)
    cfg.val_cfg = dict(
        type='SelectionValLoop', selection=dict(unlabelled=unlabelled), validate_target=False
    )
    return cfg


def test_weighted_error_of_a_validation(tmp_path: Path) -> None:
    metrics = Runner.from_cfg(config(tmp_path, 'source_only', both(tmp_path))).val()
    assert -0.5 < metrics['unlabelled/weighted_source_error'] < 1.5
    # All other scores are those of the target's images alone.
    target = both(tmp_path)['datasets'][1]
    alone = Runner.from_cfg(config(tmp_path, 'source_only', target)).val()
    metrics.pop('unlabelled/weighted_source_error')
    assert metrics == alone


def test_source_without_labels(tmp_path: Path) -> None:
    cfg = config(tmp_path, 'source_only', both(tmp_path, (False, False)))
    with pytest.raises(ValueError, match=r'expected a label of .*source.*write LoadAnnotations'):
        Runner.from_cfg(cfg).val()
