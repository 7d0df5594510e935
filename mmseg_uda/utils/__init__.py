"""Small helpers without state."""

from mmseg_uda.utils.batch_norm import batch_norm_layers, reestimate_batch_norm
from mmseg_uda.utils.drawing import (
    contact_sheet,
    denormalize,
    heat_map,
    label_to_color,
    overlay,
    tile_panel,
)
from mmseg_uda.utils.observe import first_image, no_trace, segment, unwrap_model
from mmseg_uda.utils.replacing import replacing

__all__ = [
    'batch_norm_layers',
    'contact_sheet',
    'denormalize',
    'first_image',
    'heat_map',
    'label_to_color',
    'no_trace',
    'overlay',
    'reestimate_batch_norm',
    'replacing',
    'segment',
    'tile_panel',
    'unwrap_model',
]
