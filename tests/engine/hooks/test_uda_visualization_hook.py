from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.visualization import SegLocalVisualizer
from torch import Tensor
from torch.testing import assert_close
from toys import METAINFO, NUM_CLASSES, SIZE, batch, build, runner_cfg, segmentor_cfg, train

from mmseg_uda.engine.hooks import UDAVisualizationHook, uda_visualization_hook
from mmseg_uda.models.class_attention import class_attention
from mmseg_uda.models.uda import SourceOnly
from mmseg_uda.structures import DomainBatch
from mmseg_uda.utils.drawing import label_to_color, outline_similar
from mmseg_uda.utils.heat_maps import heat_map, limits_of
from mmseg_uda.utils.palettes import legend_of

HEIGHT, WIDTH = SIZE
HOOK = dict(type='UDAVisualizationHook', interval=2, cell_width=WIDTH)


@MODELS.register_module(force=True)
class _Showing(SourceOnly):
    """Has maps to show, and draws random numbers for them."""

    def visualize(self, batch: DomainBatch) -> dict[str, Tensor]:
        assert not self.training
        assert not torch.is_grad_enabled()
        assert len(batch.source.images) == len(batch.target.samples) == 1
        np.random.rand()
        return {
            'attention': torch.rand(4, 6),
            'mixed label': torch.ones(SIZE, dtype=torch.int64),
            'mixed image': torch.rand(3, *SIZE),
        }


MODEL = dict(type='_Showing', segmentor=segmentor_cfg(batch_norm=True, dropout=0.5))


def cell(panel: np.ndarray, row: int, column: int) -> np.ndarray:
    top, left = 6 + 22 + row * (HEIGHT + 6 + 22), 6 + column * (WIDTH + 6)
    return panel[top : top + HEIGHT, left : left + WIDTH]


def legend_height(width: int) -> int:
    ids = [*range(NUM_CLASSES), 255]
    return legend_of(ids, METAINFO['classes'], METAINFO['palette'], width, 'iteration 2').shape[0]


def paint(label: np.ndarray) -> np.ndarray:
    palette = METAINFO['palette']
    return outline_similar(label_to_color(label, palette), label, palette)


def look(
    visualizer: Any,
    model: torch.nn.Module,
    data: dict[str, Any],
    max_classes: int = 4,
    cell_width: int = WIDTH,
) -> None:
    runner = SimpleNamespace(iter=1, model=model, visualizer=visualizer)
    hook = UDAVisualizationHook(interval=2, cell_width=cell_width, max_classes=max_classes)
    hook.after_train_iter(runner, 1, data, {})


def draw(model: torch.nn.Module, data: dict[str, Any], **kwargs: int) -> np.ndarray:
    visualizer = Mock(dataset_meta=METAINFO)
    look(visualizer, model, data, **kwargs)
    (name, panel, step), _ = visualizer.add_image.call_args
    assert (name, step) == ('train', 2)
    return panel


def test_training_is_the_same_with_and_without(tmp_path: Path) -> None:
    plain = train(runner_cfg(tmp_path, tmp_path / 'plain', MODEL, max_iters=4))
    backend = dict(type='LocalVisBackend')
    shown = train(
        runner_cfg(
            tmp_path,
            tmp_path / 'shown',
            MODEL,
            max_iters=4,
            custom_hooks=[HOOK],
            visualizer=dict(type='SegLocalVisualizer', vis_backends=[backend], name='shown'),
        )
    )
    assert_close(shown.model.state_dict(), plain.model.state_dict(), atol=0, rtol=0)
    pictures = sorted((tmp_path / 'shown').rglob('vis_image/*.png'))
    assert [path.name for path in pictures] == ['train_2.png', 'train_4.png']
    width = 6 + 4 * (WIDTH + 6)
    height = 6 + 3 * (HEIGHT + 28) + legend_height(width)
    assert cv2.imread(str(pictures[0])).shape == (height, width, 3)


@pytest.mark.parametrize('pseudo', [True, False])
def test_panel_shows_what_the_model_got(pseudo: bool) -> None:
    data = batch(pseudo=pseudo)
    model = build('source_only')
    panel = draw(model, data)
    for row, domain in enumerate(('source', 'target')):
        image = data[domain]['inputs'][0].numpy()[::-1].transpose(1, 2, 0)
        np.testing.assert_array_equal(cell(panel, row, 0), image)
    truth = data['source']['data_samples'][0].gt_sem_seg.data[0].numpy()
    np.testing.assert_array_equal(cell(panel, 0, 1), paint(truth))
    model.eval()
    inputs = model.data_preprocessor(dict(data['target']), False)['inputs'][:1]
    metas = [data['target']['data_samples'][0].metainfo]
    prediction = model.encode_decode(inputs, metas).argmax(1)[0].numpy()
    # Below the source's, whether or not there is a pseudo label beside it.
    np.testing.assert_array_equal(cell(panel, 1, 2), paint(prediction))
    assert (cell(panel, 1, 1) == 255).all() == (not pseudo)
    probability = model.encode_decode(inputs, metas).softmax(1).amax(1)[0].detach().numpy()
    shown = heat_map(probability, 0, 1)
    assert np.abs(cell(panel, 1, 3).astype(int) - shown).max() <= 3


def test_panel_of_images_of_different_sizes() -> None:
    """Training pads them and their labels; the panel does not."""
    data, model = batch(), build('source_only')
    data['source']['inputs'][0] = data['source']['inputs'][0][:, : HEIGHT // 2]
    sample = data['source']['data_samples'][0]
    sample.gt_sem_seg = PixelData(data=sample.gt_sem_seg.data[:, : HEIGHT // 2])
    expected = draw(model, data)
    model.data_preprocessor(data, True)
    np.testing.assert_array_equal(draw(model, data), expected)


def test_tensorboard_backend(tmp_path: Path) -> None:
    pytest.importorskip('tensorboard')
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    visualizer = SegLocalVisualizer(
        vis_backends=[dict(type='TensorboardVisBackend')], save_dir=str(tmp_path)
    )
    look(visualizer, build('source_only'), batch())
    visualizer.close()
    events = EventAccumulator(str(next(tmp_path.rglob('events.*')))).Reload()
    (image,) = events.Images('train')
    assert image.step == 2
    assert image.width == 6 + 4 * (WIDTH + 6)


def test_wandb_backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = Mock(Image=lambda image: image)
    monkeypatch.setitem(sys.modules, 'wandb', wandb)
    visualizer = SegLocalVisualizer(
        vis_backends=[dict(type='WandbVisBackend')], save_dir=str(tmp_path)
    )
    look(visualizer, build('source_only'), batch())
    logged = visualizer.get_backend('WandbVisBackend').experiment.log.call_args[0][0]
    assert logged['train'].shape[1] == 6 + 4 * (WIDTH + 6)


def test_other_processes_do_not_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uda_visualization_hook, 'is_main_process', lambda: False)
    visualizer = Mock(dataset_meta=METAINFO)
    look(visualizer, build('source_only'), batch())
    visualizer.add_image.assert_not_called()


def test_stock_segmentor_works() -> None:
    data = batch()
    assert draw(MODELS.build(segmentor_cfg()), data).shape[2] == 3


def test_self_attention_of_the_largest_classes() -> None:
    module = dict(type='SelfAttentionModule', in_channels=NUM_CLASSES)
    loss = dict(type='SelfAttentionLoss', self_attention=module, allow_untrained=True)
    loss['domains'] = ['source']
    model, data = build('source_only', regularizers=dict(sam=loss)), batch(pseudo=False)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    panel = draw(model, data)
    model.eval()
    inputs = model.data_preprocessor(dict(data['target']), False)['inputs'][:1]
    view = class_attention(model, inputs)
    assert len(view.classes) > 1
    height, width = view.maps.shape[1:]
    for column, values in enumerate(view.maps[:4]):
        expected = heat_map(values.numpy(), *limits_of(values.numpy()))
        shown = cell(panel, 2, column)[:: HEIGHT // height, :: WIDTH // width]
        np.testing.assert_array_equal(shown, expected)
    assert draw(model, data, max_classes=1).shape == panel.shape
    assert (cell(draw(model, data, max_classes=1), 2, 1) == 255).all()
    assert draw(model, data, max_classes=0).shape[0] < panel.shape[0]


def test_dast_shows_its_attention() -> None:
    model, data = build('dast'), batch()
    panel = draw(model, data)
    model.eval()
    inputs = model.data_preprocessor(dict(data['target']), False)['inputs'][:1]
    values = model.student.attention.attention_map(model.student, inputs)[0]
    height, width = values.shape
    np.testing.assert_array_equal(
        cell(panel, 2, 0)[:: HEIGHT // height, :: WIDTH // width],
        heat_map(values.numpy(), *limits_of(values.numpy())),
    )


def test_constant_maps_are_as_bright_as_their_value() -> None:
    """A significance of 1 everywhere is not the picture of one of 0."""
    model, data = build('source_only'), batch()
    model.visualize = lambda _: {
        'ones': torch.ones(HEIGHT, WIDTH),
        'zeros': torch.zeros(HEIGHT, WIDTH),
        'tens': torch.full((HEIGHT, WIDTH), 10.0),
    }
    panel = draw(model, data)
    bright, dark = heat_map(np.array([[1.0, 0.0]]))[0]
    assert (cell(panel, 2, 0) == bright).all()
    assert (cell(panel, 2, 1) == dark).all()
    wide = draw(model, data, cell_width=4 * WIDTH)
    top = 6 + 2 * (4 * HEIGHT + 28)
    ones = wide[top : top + 22, 6 : 6 + 4 * WIDTH]
    for colour in (bright, dark):  # the range is shown, though the map has one colour
        assert (ones == colour).all(2).any()


def test_rows_of_maps_are_even_and_the_legend_has_the_iteration() -> None:
    model, data = build('source_only'), batch()
    model.visualize = lambda _: {str(i): torch.ones(3, HEIGHT, WIDTH) / 2 for i in range(5)}
    panel = draw(model, data)
    grey = [[(cell(panel, row, i) == 128).all() for i in range(4)] for row in (2, 3)]
    assert grey == [[True, True, True, False], [True, True, False, False]]
    legend = panel[6 + 4 * (HEIGHT + 28) :]
    assert len(legend) == legend_height(panel.shape[1])
    assert (legend[:, :80] < 200).any()  # the iteration


def test_errors() -> None:
    with pytest.raises(
        ValueError,
        match='max_classes: expected an integer of at least 0, but got -1',
    ):
        UDAVisualizationHook(max_classes=-1)
    with pytest.raises(
        ValueError,
        match='interval: expected an integer of at least 1, but got 0',
    ):
        UDAVisualizationHook(interval=0)
    with pytest.raises(
        ValueError,
        match='cell_width: expected an integer of at least 1, but got -1',
    ):
        UDAVisualizationHook(cell_width=-1)
    with pytest.raises(TypeError, match='train with UDATrainLoop'):
        draw(build('source_only'), batch()['source'])


def test_a_picture_stops_no_training() -> None:
    model = build('source_only').train()
    model.visualize = lambda _: {'odd': torch.rand(2, 3, 4, 5)}
    hook = UDAVisualizationHook(interval=1)
    runner = SimpleNamespace(
        iter=1, model=model, visualizer=Mock(dataset_meta=METAINFO), logger=Mock()
    )
    for _ in range(3):
        hook.after_train_iter(runner, 1, batch(), {})
    (call,) = runner.logger.warning.call_args_list
    assert call.args[0] == (
        'UDAVisualizationHook: expected a panel in iteration 2, but drawing raised ValueError: '
        'UDAVisualizationHook: visualize()["odd"]: expected shape (h, w) or (C, h, w), but got '
        '(2, 3, 4, 5); training goes on, and later failures are not reported'
    )
    assert all(module.training for module in model.modules())
    assert not runner.visualizer.add_image.called
    del model.visualize  # a later panel that can be drawn is drawn
    hook.after_train_iter(runner, 1, batch(), {})
    assert runner.visualizer.add_image.called
