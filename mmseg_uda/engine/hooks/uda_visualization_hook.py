"""Pictures of both domains during training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.models import BaseSegmentor
from mmseg.registry import HOOKS
from mmseg.utils import get_palette
from torch import Tensor

from mmseg_uda.engine.observe import first_image, preserve_state, segment, unwrap_model
from mmseg_uda.models.class_attention import class_attention, self_attention_of
from mmseg_uda.structures import DomainBatch, ImageBatch
from mmseg_uda.utils.arguments import check_integer, expect
from mmseg_uda.utils.drawing import as_rgb, label_to_color, loaded_to_rgb, outline_similar
from mmseg_uda.utils.palettes import legend_of
from mmseg_uda.utils.sheets import Tile, heat_tile, in_rows, tile_panel

__all__ = ['UDAVisualizationHook']

Rows = list[list[Tile | None]]
LABELS = {'gt_sem_seg': 'ground truth', 'pseudo_sem_seg': 'pseudo label'}


@HOOKS.register_module()
class UDAVisualizationHook(Hook):
    """Draw one panel of the training batch's first images every ``interval`` iterations.

    A panel shows the source image, its ground truth, prediction and confidence; below them the
    target image, its pseudo label (if it has one), prediction and confidence; then maps of the
    method; last the iteration, and a legend of the classes that occur. Confidences, and all maps
    with values in [0, 1], have the colours of [0, 1]; other maps have those from their least to
    their greatest value. A bar in the caption shows the range. The panel goes through the run's
    visualizer (``add_image`` only), so that local files, TensorBoard and W&B work.
    mmseg's ``SegVisualizationHook`` draws validation images.

    A method adds maps by a method of its own::

        def visualize(self, batch: DomainBatch) -> dict[str, Tensor]:
            '''Maps by caption, of any size: float (h, w) is painted as heat map, int64 (h, w) as
            labels, (3, h, w) with values in [0, 1] as RGB picture.'''

    The hook calls it in evaluation mode without gradients, with one image per domain and on the
    first process only. It must not write to a buffer or wait for other processes. Modes and random
    states are restored, so that training is bit by bit the same with and without this hook. If
    drawing fails, the hook warns once, and training goes on.

    Of a model that translates images, the panel shows source and target in two columns, and the
    maps below.

    For a model with SAM's self-attention, in its decode head or in a loss, the panel also shows the
    attention of the most confident pixel of each of the target image's largest classes.

    Args:
        interval: Iterations between two panels.
        name: Name of the image in the backends.
        cell_width: Width of one picture, in pixels.
        max_classes: Largest number of classes whose self-attention is drawn.

    Example:
        Use in a config::

            custom_hooks = [dict(type='UDAVisualizationHook', interval=500)]
    """

    priority = 'LOW'

    def __init__(
        self, interval: int = 500, name: str = 'train', cell_width: int = 384, max_classes: int = 4
    ) -> None:
        for key, value, least in (
            ('interval', interval, 1),
            ('cell_width', cell_width, 1),
            ('max_classes', max_classes, 0),
        ):
            check_integer(f'UDAVisualizationHook.{key}', value, least)
        self.interval = interval
        self.name = name
        self.cell_width = cell_width
        self.max_classes = max_classes
        self._warned = False

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict[str, Tensor] | None = None,
    ) -> None:
        """Draw, every ``interval`` iterations.

        Raises:
            TypeError: The batch is not one of two domains.
        """
        if not self.every_n_train_iters(runner, self.interval) or not is_main_process():
            return
        if not isinstance(data_batch, dict) or not {'source', 'target'} <= set(data_batch):
            raise TypeError(
                'UDAVisualizationHook: expected a batch of source and target, but got '
                f'{type(data_batch).__name__}; train with UDATrainLoop, or use SegVisualizationHook'
            )
        try:
            self._draw(runner, data_batch)
        except Exception as error:  # a picture is no reason to lose a training
            if not self._warned:
                runner.logger.warning(
                    f'UDAVisualizationHook: expected a panel in iteration {runner.iter + 1}, but '
                    f'drawing raised {type(error).__name__}: {" ".join(str(error).split())}; '
                    'training goes on, and later failures are not reported'
                )
            self._warned = True

    def _draw(self, runner: Runner, data_batch: dict[str, Any]) -> None:
        meta = runner.visualizer.dataset_meta or {}
        model = unwrap_model(runner.model)
        painter = _Painter(meta.get('palette') or get_palette('cityscapes'), meta.get('classes'))
        with preserve_state(model):
            rows = self._rows(model, data_batch, painter)
        title = f'iteration {runner.iter + 1}'
        panel = tile_panel(rows, self.cell_width, lambda width: painter.legend(width, title))
        runner.visualizer.add_image(self.name, panel, runner.iter + 1)

    def _rows(self, model: BaseSegmentor, data_batch: dict[str, Any], painter: _Painter) -> Rows:
        batches = {name: first_image(model, data_batch, name) for name in ('source', 'target')}
        rows: Rows = [
            painter.domain_row(name, model, data_batch[name]['inputs'][0], batch)
            for name, batch in batches.items()
        ]
        if hasattr(model, 'encode_decode'):  # the same kinds of pictures below each other
            columns = [column for column in zip(*rows) if any(column)]
            rows = [list(row) for row in zip(*columns)]
        else:
            rows = [[tile for row in rows for tile in row if tile]]
        maps = model.visualize(DomainBatch(**batches)) if hasattr(model, 'visualize') else {}
        maps = {**maps, **self._class_maps(model, batches['target'].images, painter.classes)}
        extra = [painter.draw(name, values) for name, values in maps.items()]
        longest = max(len(row) for row in rows)
        return rows + [[*row] for row in in_rows(extra, longest)]

    def _class_maps(
        self, model: BaseSegmentor, image: Tensor, classes: Sequence[str] | None
    ) -> dict[str, Tensor]:
        """SAM's attention by caption, shape (h, w); empty for a model without it."""
        if not hasattr(model, 'encode_decode') or self.max_classes == 0:
            return {}
        if self_attention_of(model) is None:
            return {}
        view = class_attention(model, image)
        ids = view.classes[: self.max_classes].tolist()
        names = [classes[index] if classes else f'class {index}' for index in ids]
        return {f'self-attention: {name}': values for name, values in zip(names, view.maps)}


class _Painter:
    """Draws tiles, and remembers the classes for the legend.

    Args:
        palette: RGB colour of each class.
        classes: Their names, if they are known.
    """

    def __init__(self, palette: Sequence[Sequence[int]], classes: Sequence[str] | None) -> None:
        self.palette, self.classes = palette, classes
        self.seen: set[int] = set()

    def legend(self, width: int, title: str) -> np.ndarray:
        return legend_of(self.seen, self.classes, self.palette, width, title)

    def label(self, caption: str, label: np.ndarray) -> Tile:
        """Draw class ids (H, W)."""
        self.seen.update(np.unique(label).tolist())
        picture = label_to_color(label, self.palette)
        return Tile(caption, outline_similar(picture, label, self.palette))

    def domain_row(
        self, name: str, model: BaseSegmentor, raw: Tensor, batch: ImageBatch
    ) -> list[Tile | None]:
        """Draw the pictures of one domain; a place without one has None.

        Args:
            name: Name of the domain.
            model: The segmentor.
            raw: Image as loaded, shape (C, H, W).
            batch: The same image, normalised and padded.
        """
        height, width = raw.shape[-2:]
        image = Tile(f'{name} image', loaded_to_rgb(raw.detach().cpu().numpy()))
        labels = [
            self.label(f'{name} {caption}', batch.samples[0].get(field).data[0].cpu().numpy())
            for field, caption in LABELS.items()
            if field in batch.samples[0]
        ]
        row = [image, *labels, *[None] * (len(LABELS) - len(labels))]
        if not hasattr(model, 'encode_decode'):
            return row
        label, confidence = segment(model, batch)  # (1, H', W') each; padding is cut off below
        ids = label[0, :height, :width].cpu().numpy()
        certainty = confidence[0, :height, :width].float().cpu().numpy()
        return [
            *row,
            self.label(f'{name} prediction', ids),
            heat_tile(f'{name} confidence', certainty, limits=(0, 1)),
        ]

    def draw(self, name: str, values: Tensor) -> Tile:
        """Draw a map of a method: a heat map, labels or a picture."""
        array = values.detach().cpu()
        if array.ndim == 2 and not array.is_floating_point():
            return self.label(name, array.numpy())
        if array.ndim == 2:
            return heat_tile(name, array.float().numpy())
        key = f'UDAVisualizationHook: visualize()["{name}"]'
        expect(array.ndim == 3, key, 'shape (h, w) or (C, h, w)', tuple(array.shape))
        picture = (array.float().clamp(0, 1) * 255).round().byte()
        return Tile(name, as_rgb(picture.permute(1, 2, 0).numpy()))
