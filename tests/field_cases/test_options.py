"""Options that users combine with a method, as public bug reports describe them."""

from __future__ import annotations

import re
from typing import Any

import pytest
import toys
from field_cases.own_dataset import OwnDataset

from mmseg_uda.config.check import check_config


def test_test_time_augmentation_of_a_method(own: OwnDataset) -> None:
    own.write()
    cfg = own.config()
    checkpoint = own.train(cfg)
    cfg.tta_model = dict(type='SegTTAModel')
    flips = [dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1.0)]
    rest = [[dict(type='LoadAnnotations')], [dict(type='PackSegInputs')]]
    cfg.tta_pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='TestTimeAug', transforms=[flips, *rest]),
    ]
    assert 0 <= own.test(cfg, checkpoint, '--tta')['mIoU'] <= 100


ONE_OUTPUT = dict(
    num_classes=2,
    out_channels=1,
    threshold=0.5,
    loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=True),
)


def with_one_output(node: Any) -> Any:
    """A config whose heads and discriminators are those of a binary network."""
    if isinstance(node, dict):
        node = {key: with_one_output(value) for key, value in node.items()}
        if 'num_classes' in node:
            node.update(ONE_OUTPUT)
        if node.get('in_channels') == toys.NUM_CLASSES:
            node['in_channels'] = 2
    return node


@pytest.mark.parametrize('name', [*toys.METHODS, 'stock'])
def test_one_output_for_two_classes_is_refused(name: str) -> None:
    if name == 'stock':
        regularizers = dict(entropy=dict(type='EntropyLoss', domains=['source']))
        head = toys.segmentor_cfg()['decode_head']
        model = toys.segmentor_cfg(
            dict(type='RegularizedHead', head=head, regularizers=regularizers)
        )
    else:
        model = toys.method_cfg(name)
    messages = [problem.message for problem in check_config(dict(model=with_one_output(model)))]
    assert messages
    for message in messages:
        assert re.search(r'out_channels: expected (at least 2|num_classes, 2), but got 1', message)


def test_automatic_learning_rate_is_refused(own: OwnDataset) -> None:
    own.write()
    options = ('auto_scale_lr.enable=True', 'auto_scale_lr.base_batch_size=4')
    with pytest.raises(ValueError, match='auto_scale_lr'):
        own.train(own.config(), '--cfg-options', *options)


def test_checkpoint_of_other_classes_is_refused_with_a_way_out(own: OwnDataset) -> None:
    own.write()
    checkpoint = own.train(own.config())
    cfg = own.config(classes=tuple(f'c{i}' for i in range(18)))
    cfg.load_from = str(checkpoint)
    own.work_dir = own.root / 'another'
    with pytest.raises(ValueError, match=r'SourceOnly: .*checkpoint(?s:.*)init_cfg'):
        own.train(cfg)


def test_class_weights_of_too_few_classes_are_named(own: OwnDataset) -> None:
    own.write()
    cfg = own.config()
    loss = dict(type='CrossEntropyLoss', class_weight=[1.0] * 18)
    cfg.model.segmentor.decode_head.loss_decode = loss
    with pytest.raises(ValueError, match=r'(?s)(?=.*class_weight)(?=.*\b18\b)(?=.*\b19\b)'):
        own.train(cfg)
