# Mixing: SAM's loss in a stock model with stock loops, supervised on Cityscapes without adaptation.
# Not in the paper; not trained by us.
_base_ = [
    'mmseg::_base_/models/pspnet_r50-d8.py', 'mmseg::_base_/datasets/cityscapes.py',
    'mmseg::_base_/schedules/schedule_40k.py', 'mmseg::_base_/default_runtime.py'
]
custom_imports = dict(imports=['mmseg_uda'], allow_failed_imports=False)
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(
        _delete_=True,
        type='RegularizedHead',
        regularizers=dict(
            sam=dict(
                type='SelfAttentionLoss',
                self_attention=dict(type='SelfAttentionModule', in_channels=19, kernel_size=1),
                checkpoint='work_dirs/sam_r50-pspnet_4xb2-40k_cityscapes-1024x512_'
                'attention/iter_40000.pth',
                form='residual',
                domains=('source', ),  # a stock model has no other
                loss_weight=0.1)),
        head=_base_.model.decode_head))
