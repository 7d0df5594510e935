# Source only, GTA5 to Cityscapes, with VFM-UDA's network and schedule; DINOv2-B is tuned with
# layer-wise decay of the rate. Not in a paper. Not trained by us.
_base_ = [
    '../_base_/models/vfm_uda_dinov2-b.py', '../_base_/datasets/gta2cityscapes_1024x1024_vfm_uda.py',
    '../_base_/schedules/adamw_40k_vfm_uda.py', '../_base_/default_runtime.py'
]
model = dict(_delete_=True, type='SourceOnly', segmentor=_base_.model)
optim_wrapper = dict(
    optimizers=dict(
        student=dict(
            constructor='BlockDecayOptimizerConstructor',
            paramwise_cfg=dict(blocks='backbone.model.blocks', decay_rate=0.9))))
default_hooks = dict(checkpoint=dict(interval=4000))
