"""One walker through dataset wrappers; label loaders and random steps are known by class."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import mmcv.transforms
import mmseg.datasets.transforms
import pytest
from mmcv.transforms import BaseTransform
from mmengine.config import ConfigDict
from mmseg.datasets.transforms import LoadAnnotations, RandomCrop, Resize
from mmseg.registry import TRANSFORMS

from mmseg_uda.config.datasets import (
    is_random,
    iter_datasets,
    loads_labels,
    map_datasets,
    only_steps,
    steps_of_class,
    transform_class,
    unlabelled_images,
    without_labels,
    without_randomness,
)

LOAD = dict(type='LoadImageFromFile')
FLIP = dict(type='RandomFlip', prob=0.5)
PACK = dict(type='PackUDAInputs')


@TRANSFORMS.register_module(force=True)
class OwnLabels(LoadAnnotations):
    """Ground truth under another name."""


@TRANSFORMS.register_module(force=True)
class OwnCrop(RandomCrop):
    """A random crop under another name."""


@TRANSFORMS.register_module(force=True)
class SteadyCrop(RandomCrop):
    """A crop that says of itself that it draws nothing."""

    is_random = False


@TRANSFORMS.register_module(force=True)
class Stranger(BaseTransform):
    """Nothing is known of it."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        return results


@TRANSFORMS.register_module(force=True)
class Introduced(Stranger):
    loads_labels = True
    is_random = False


# ---------------------------------------------------------------------------------------- wrappers


def inner(name: str, **kwargs: Any) -> dict[str, Any]:
    return dict(type='BaseSegDataset', data_root=name, pipeline=[LOAD], **kwargs)


WRAPPERS = {
    'none': (inner('a'), ['']),
    'concat': (
        dict(type='ConcatDataset', datasets=[inner('a'), inner('b')], ignore_keys=['palette']),
        ['.datasets[0]', '.datasets[1]'],
    ),
    'repeat': (dict(type='RepeatDataset', times=3, dataset=inner('a')), ['.dataset']),
    'balanced': (
        dict(type='ClassBalancedDataset', oversample_thr=0.1, dataset=inner('a')),
        ['.dataset'],
    ),
    'mixed': (
        dict(type='MultiImageMixDataset', dataset=inner('a'), pipeline=[FLIP]),
        ['.dataset'],
    ),
    'unknown': (dict(type='Unheard', datasets=(inner('a'),), dataset=inner('b')), None),
    'nested': (
        dict(
            type='ConcatDataset',
            datasets=[
                dict(type='RepeatDataset', times=2, dataset=inner('a')),
                dict(type='Unheard', dataset=dict(type='Unheard', dataset=inner('b'))),
            ],
        ),
        ['.datasets[0].dataset', '.datasets[1].dataset.dataset'],
    ),
}


@pytest.mark.parametrize('name', WRAPPERS)
def test_every_wrapper_is_walked_through(name: str) -> None:
    cfg, places = WRAPPERS[name]
    before = copy.deepcopy(cfg)
    found = dict(iter_datasets(cfg, 'key'))
    assert list(found) == [f'key{p}' for p in places or ('.datasets[0]', '.dataset')]
    assert [each['data_root'] for each in found.values()] == list('ab')[: len(found)]

    def change(each: dict[str, Any]) -> dict[str, Any]:
        each['pipeline'].append(PACK)
        return {**each, 'indices': 1}

    changed = map_datasets(cfg, change)
    assert cfg == before
    assert [each['pipeline'] for _, each in iter_datasets(changed)] == [[LOAD, PACK]] * len(found)
    assert [each['indices'] for _, each in iter_datasets(changed)] == [1] * len(found)
    assert changed.get('type') == cfg['type']
    assert {key for key in changed if key != 'indices'} == set(cfg)


def test_unwrapped() -> None:
    def unwrapped(name: str) -> dict[str, Any]:
        return map_datasets(WRAPPERS[name][0], lambda each: each, unwrap=True)

    for name in ('none', 'repeat', 'balanced', 'mixed'):
        assert unwrapped(name) == inner('a')
    assert unwrapped('concat') == WRAPPERS['concat'][0]
    assert unwrapped('nested') == dict(type='ConcatDataset', datasets=[inner('a'), inner('b')])


def test_images_without_labels() -> None:
    prefix = dict(img_path='images', seg_map_path='labels')
    one = inner('a', data_prefix=prefix)
    one['pipeline'] = [LOAD, dict(type='LoadAnnotations'), PACK]
    other = inner('b')
    cfg = dict(
        type='ConcatDataset', datasets=[one, dict(type='RepeatDataset', times=2, dataset=other)]
    )
    images = dict(one, data_prefix=dict(img_path='images'), pipeline=[LOAD, PACK], test_mode=True)
    found = unlabelled_images(ConfigDict(cfg))
    assert found == dict(type='ConcatDataset', datasets=[images, dict(other, test_mode=True)])
    assert prefix == dict(img_path='images', seg_map_path='labels')
    pipeline = [dict(type=OwnLabels), PACK]
    found = unlabelled_images(cfg, pipeline)
    assert [each['pipeline'] for each in found['datasets']] == [[PACK]] * 2


def test_crops_without_labels() -> None:
    """mmseg's crop reads the labels to choose its place unless `cat_max_ratio` is 1."""
    crop = dict(type='RandomCrop', crop_size=(4, 4), cat_max_ratio=0.75)
    steps = [LOAD, dict(type='RandomApply', transforms=[crop]), crop, PACK]
    found = unlabelled_images(inner('a'), steps)['pipeline']
    free = dict(crop, cat_max_ratio=1.0)
    assert found == [LOAD, dict(type='RandomApply', transforms=[free]), free, PACK]
    assert without_randomness([LOAD, crop]) == [LOAD]
    assert crop['cat_max_ratio'] == 0.75


def test_steps_of_a_class() -> None:
    resize = dict(type='mmseg.Resize', scale=(4, 4))
    cfg = dict(datasets=[dict(pipeline=[LOAD, resize]), dict(), dict(pipeline=[dict(type=Resize)])])
    assert list(steps_of_class(cfg, Resize)) == [resize, dict(type=Resize)]
    assert only_steps([LOAD, resize, FLIP], Resize, mmcv.transforms.RandomFlip) == [resize, FLIP]


# ------------------------------------------------------------------------------------ labels

LABELS: list[Any] = [
    'LoadAnnotations',
    'mmseg.LoadAnnotations',
    'mmcv.LoadAnnotations',
    LoadAnnotations,
    mmcv.transforms.LoadAnnotations,
    'OwnLabels',
    OwnLabels,
    'LoadDepthAnnotation',
    'LoadBiomedicalAnnotation',
    'LoadPseudoLabels',
    'mmseg.LoadPseudoLabels',
    'LoadImageLabels',
    'Introduced',
]
NO_LABELS = ['LoadImageFromFile', 'Resize', 'RandomFlip', 'PackSegInputs', 'PackUDAInputs']
NO_LABELS += ['TrackPositions', 'FourierAmplitudeMix', 'Albu', 'GenerateEdge']


@pytest.mark.parametrize('kind', LABELS)
def test_label_loaders_by_class(kind: Any) -> None:
    assert loads_labels(dict(type=kind))
    assert without_labels([LOAD, dict(type=kind), PACK]) == [LOAD, PACK]


@pytest.mark.parametrize('kind', NO_LABELS)
def test_what_loads_no_label_stays(kind: str) -> None:
    assert without_labels([dict(type=kind)]) == [dict(type=kind)]


def test_a_built_transform_counts_like_its_config() -> None:
    load = LoadAnnotations()
    assert without_labels([load, LOAD]) == [LOAD]


# -------------------------------------------------------------------------------------- randomness

RANDOM: list[Any] = [
    'RandomFlip',
    'mmcv.RandomFlip',
    'mmseg.RandomCrop',
    OwnCrop,
    'RandomResize',
    'RandomChoiceResize',
    'RandomRotate',
    'RandomRotFlip',
    'RandomCutOut',
    'RandomMosaic',
    'RandomGrayscale',
    'RandomDepthMix',
    'PhotoMetricDistortion',
    'Albu',
    'BioMedicalGaussianNoise',
    'BioMedicalGaussianBlur',
    'BioMedicalRandomGamma',
    'BioMedical3DRandomCrop',
    'BioMedical3DRandomFlip',
    'RandomApply',
    'RandomChoice',
    'FourierAmplitudeMix',
]
STEADY = ['LoadImageFromFile', 'LoadAnnotations', 'LoadPseudoLabels', 'LoadImageLabels', 'Resize']
STEADY += ['TrackPositions', 'PackUDAInputs', 'Pad', 'CenterCrop', 'CLAHE', 'SteadyCrop']


@pytest.mark.parametrize('kind', RANDOM)
def test_randomness_by_class(kind: Any) -> None:
    assert is_random(dict(type=kind))
    assert without_randomness([LOAD, dict(type=kind), PACK]) == [LOAD, PACK]


@pytest.mark.parametrize('kind', STEADY)
def test_what_draws_nothing_stays(kind: str) -> None:
    assert without_randomness([dict(type=kind)]) == [dict(type=kind)]


def test_every_stock_transform_that_draws_is_known() -> None:
    """A new version of a toolbox may bring one: its source tells."""
    classes = {
        cls
        for module in (mmcv.transforms, mmseg.datasets.transforms)
        for cls in vars(module).values()
        if isinstance(cls, type) and issubclass(cls, BaseTransform)
    }
    draws = {
        cls
        for cls in classes
        if 'np.random.' in (source := inspect.getsource(cls)) or 'cache_randomness\n' in source
    }
    assert len(draws) > 15
    unknown = [cls.__name__ for cls in draws if not is_random(dict(type=cls))]
    assert not unknown


# ----------------------------------------------------------------------------- inside of transforms


def test_wrappers_of_transforms_are_looked_into() -> None:
    labels = dict(type='mmseg.LoadAnnotations')
    compose = dict(type='Compose', transforms=[LOAD, labels, FLIP])
    mapper = dict(type='KeyMapper', mapping=dict(img='a'), transforms=[labels])
    spread = dict(type='TransformBroadcaster', mapping=dict(img=['a', 'b']), transforms=[FLIP])
    assert without_labels([compose]) == [dict(type='Compose', transforms=[LOAD, FLIP])]
    assert without_randomness([compose]) == [dict(type='Compose', transforms=[LOAD, labels])]
    alone = dict(mapper, transforms=labels)
    assert without_labels([mapper, alone, spread]) == [spread]
    assert without_randomness([mapper, spread]) == [mapper]
    apply = dict(type='RandomApply', prob=0.5, transforms=[LOAD, compose])
    assert without_labels([apply])[0]['transforms'] == [LOAD, *without_labels([compose])]
    assert compose['transforms'] == [LOAD, labels, FLIP]


def test_a_choice_keeps_its_number_of_branches() -> None:
    labels = dict(type='LoadAnnotations')
    choice = dict(type='RandomChoice', prob=[0.25, 0.75], transforms=[[labels, LOAD], labels])
    assert without_labels([choice]) == [dict(choice, transforms=[[LOAD], []])]
    assert without_labels([dict(choice, transforms=[labels, [labels]])]) == []


def test_views_of_test_time_augmentation_stay() -> None:
    flips = [dict(type='RandomFlip', prob=prob) for prob in (0.0, 1.0)]
    views = dict(type='TestTimeAug', transforms=[flips, [dict(type='LoadAnnotations')], [PACK]])
    assert without_labels([LOAD, views]) == [LOAD, dict(views, transforms=[flips, [PACK]])]


# ------------------------------------------------------------------------------------------ errors


def test_an_unknown_step_is_an_error() -> None:
    for without, attribute in ((without_labels, 'loads_labels'), (without_randomness, 'is_random')):
        with pytest.raises(
            ValueError,
            match=f'expected transforms that state `{attribute}`, but got Stranger; write '
            f'`{attribute} = True` or `{attribute} = False` in class Stranger',
        ):
            without([LOAD, dict(type='Compose', transforms=[dict(type='Stranger')])])


@pytest.mark.parametrize('step', [dict(type='LoadAnnotation'), dict(type='no.Such'), dict()])
def test_an_unregistered_step_is_an_error(step: dict[str, Any]) -> None:
    with pytest.raises(
        ValueError,
        match='expected the name of a registered transform, but got type=.*; correct it, or name',
    ):
        transform_class(step)
