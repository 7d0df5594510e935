# Source only, GTA5 to Cityscapes, with VFM-UDA's network and schedule; DINOv2-B is frozen, so that
# the head alone learns. Not in a paper. Not trained by us.
_base_ = [
    '../_base_/models/vfm_uda_dinov2-b.py', '../_base_/datasets/gta2cityscapes_1024x1024_vfm_uda.py',
    '../_base_/schedules/adamw_40k_vfm_uda.py', '../_base_/default_runtime.py'
]
model = dict(
    _delete_=True,
    type='SourceOnly',
    segmentor=dict(_base_.model, backbone=dict(_base_.model.backbone, frozen=True)))
default_hooks = dict(checkpoint=dict(interval=4000))
