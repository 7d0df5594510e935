"""The preprocessor of two domains."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import toys
from mmseg.registry import MODELS
from torch import nn
from torch.testing import assert_close

STOCK = dict(type='SegDataPreProcessor', mean=[100.0] * 3, std=[50.0] * 3)


def build(**kwargs: Any) -> nn.Module:
    return MODELS.build(dict(type='UDADataPreprocessor', source=STOCK, num_classes=4, **kwargs))


def batch(sizes: dict[str, list[tuple[int, int]]]) -> dict[str, Any]:
    fields = dict(source='gt_sem_seg', target='pseudo_sem_seg')
    result = {}
    for domain, each in sizes.items():
        samples = [toys.sample(i, fields[domain], size) for i, size in enumerate(each)]
        result[domain] = {key: [s[key] for s in samples] for key in ('inputs', 'data_samples')}
    return result


def test_normalises_each_domain_by_its_own() -> None:
    data = toys.batch()
    out = build(target=dict(STOCK, mean=[0.0] * 3))(data, True)
    assert_close(out['inputs']['source'], (torch.stack(data['source']['inputs']) - 100.0) / 50.0)
    assert_close(out['inputs']['target'], torch.stack(data['target']['inputs']) / 50.0)
    assert out['data_samples'].keys() == {'source', 'target'}


def test_target_is_as_source_by_default() -> None:
    data = toys.batch()
    out = build()(data, True)
    assert_close(out['inputs']['target'], (torch.stack(data['target']['inputs']) - 100.0) / 50.0)


def test_pads_images_and_labels_to_the_largest() -> None:
    sizes = [(4, 8), (6, 5)]
    data = batch(dict(source=sizes, target=sizes))
    pseudo = [s.pseudo_sem_seg.data.clone() for s in data['target']['data_samples']]
    out = build(ignore_index=255)(data, True)
    for domain, field in (('source', 'gt_sem_seg'), ('target', 'pseudo_sem_seg')):
        assert out['inputs'][domain].shape == (2, 3, 6, 8)
        for sample in out['data_samples'][domain]:
            assert sample.get(field).data.shape == (1, 6, 8)
    for sample, label, (height, width) in zip(out['data_samples']['target'], pseudo, sizes):
        padded = sample.pseudo_sem_seg.data
        assert padded[:, :height, :width].equal(label)
        assert (padded[:, height:] == 255).all()
        assert (padded[:, :, width:] == 255).all()


def test_a_teachers_labels_count_within_the_images() -> None:
    sizes = [(4, 8), (6, 5)]
    samples = build()(batch(dict(source=sizes, target=sizes)), True)['data_samples']
    for sample, (height, width) in zip(samples['target'], sizes):
        expected = torch.zeros(1, 6, 8, dtype=torch.bool)
        expected[:, :height, :width] = True
        assert sample.label_mask.data.equal(expected)
    assert not any('label_mask' in sample for sample in samples['source'])
    samples = build()(batch(dict(source=sizes, target=[(6, 8)] * 2)), True)['data_samples']
    assert not any('label_mask' in sample for sample in samples['target'])


def test_other_domains_are_not_looked_at() -> None:
    data = toys.batch()
    data['target'] = None  # type: ignore[assignment]
    out = build(domains=('source',))(data, True)
    assert out['inputs'].keys() == out['data_samples'].keys() == {'source'}
    assert_close(out['inputs']['source'], (torch.stack(data['source']['inputs']) - 100.0) / 50.0)


def test_validation_is_a_stock_batch_of_the_target() -> None:
    model = build(target=dict(STOCK, mean=[0.0] * 3))
    image = toys.sample(0, 'gt_sem_seg')
    data = dict(inputs=[image['inputs']], data_samples=[image['data_samples']])
    out = model(data, False)
    assert_close(out['inputs'], image['inputs'][None] / 50.0)
    assert 'gt_sem_seg' in out['data_samples'][0]


def test_moves_with_the_model() -> None:
    model = toys.build('source_only').to('meta')
    assert {model.data_preprocessor.source.device, model.data_preprocessor.target.device} == {
        torch.device('meta')
    }


# ------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize('keys', [('source',), ('target',), (), ('source', 'target', 'other')])
def test_wrong_domains(keys: tuple[str, ...]) -> None:
    data = {key: toys.batch()['source'] for key in keys}
    with pytest.raises(
        ValueError,
        match="UDADataPreprocessor: expected the keys 'source' and 'target', but got .*; write "
        "train_cfg.type='UDATrainLoop'",
    ):
        build()(data, True)


def test_stock_batch_in_training() -> None:
    with pytest.raises(ValueError, match=r"but got \['data_samples', 'inputs'\]"):
        build()(toys.batch()['source'], True)


def test_unlabelled_source() -> None:
    data = toys.batch()
    del data['source']['data_samples'][1].gt_sem_seg
    with pytest.raises(
        ValueError,
        match='the source sample 1.png has no label .gt_sem_seg.; add '
        'LoadAnnotations to train_dataloader.source.dataset.pipeline',
    ):
        build()(data, True)


def test_labelled_target() -> None:
    data = toys.batch()
    data['target'] = toys.batch()['source']
    with pytest.raises(ValueError, match='the target sample 0.png carries ground truth'):
        build()(data, True)


@pytest.mark.parametrize('value', [4, 254, -1])
@pytest.mark.parametrize(
    ('domain', 'field'), [('source', 'gt_sem_seg'), ('target', 'pseudo_sem_seg')]
)
def test_label_out_of_range(value: int, domain: str, field: str) -> None:
    data = toys.batch()
    sample = data[domain]['data_samples'][1]
    sample.get(field).data[0, 5, 5] = value
    with pytest.raises(
        ValueError,
        match=f'the label of {sample.img_path} has the value {value}, '
        r'but the student predicts 4 classes \(0..3, ignore 255\); convert labels',
    ):
        build()(data, True)
    MODELS.build(dict(type='UDADataPreprocessor', source=STOCK))(data, True)  # knows no classes


def test_validation_label_out_of_range() -> None:
    sample = toys.sample(0, 'gt_sem_seg', (8, 8))
    sample['data_samples'].gt_sem_seg.data[..., 0] = 7
    with pytest.raises(ValueError, match='has the value 7, but the student predicts 4'):
        build()({key: [sample[key]] for key in ('inputs', 'data_samples')}, False)


def test_other_ignore_index() -> None:
    data = batch(dict(source=[(4, 4)], target=[(4, 4)]))
    with pytest.raises(ValueError, match='has the value 255, .* ignore 4'):
        build(ignore_index=4)(data, True)


def test_unknown_key() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'sources'"):
        build(sources=STOCK)


def test_images_of_other_channels_are_named() -> None:
    data = toys.batch()
    data['target']['inputs'] = [image[[0, 1, 2, 0]] for image in data['target']['inputs']]
    message = r'UDADataPreprocessor.target.mean: expected 4 numbers, as 1000.png .* but got 3; '
    with pytest.raises(ValueError, match=message):
        build()(data, True)
    with pytest.raises(ValueError, match=message):
        build()(data['target'], False)


def test_pictures_of_other_images() -> None:
    preprocessor = build(target=dict(STOCK, mean=[1000.0], std=[1000.0]))
    images = torch.tensor([-1.0, 0.0, 1.0, 3.0]).view(1, 4, 1, 1)  # 0, 1000, 2000 and 4000
    assert preprocessor.pictures(images).flatten().tolist() == [0.0, 0.25, 0.5, 1.0]


@pytest.mark.parametrize('domain', ['source', 'target'])
@pytest.mark.parametrize('changes', [{}, dict(bgr_to_rgb=True), dict(mean=None, std=None)])
def test_pictures(domain: str, changes: dict[str, Any]) -> None:
    """Whatever a domain's scale, its images come back in RGB."""
    own = dict(dict(STOCK, mean=[90.0, 100.0, 110.0], std=[20.0, 30.0, 40.0]), **changes)
    preprocessor = MODELS.build(
        dict(type='UDADataPreprocessor', **{'source': STOCK, 'target': STOCK, domain: own})
    )
    data = toys.batch()
    images = preprocessor(data, True)['inputs'][domain]
    expected = torch.stack(data[domain]['inputs']).flip(1) / 255
    assert_close(preprocessor.pictures(images, domain), expected, atol=1e-6, rtol=0)
    assert preprocessor.scale(domain)['bgr'] == ('bgr_to_rgb' not in changes)
