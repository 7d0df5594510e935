# Mixing: stage A in a stock model with stock loops, supervised on Cityscapes. Not in the paper; not
# trained by us.
_base_ = [
    'mmseg::_base_/models/pspnet_r50-d8.py', 'mmseg::_base_/datasets/cityscapes.py',
    'mmseg::_base_/schedules/schedule_40k.py', 'mmseg::_base_/default_runtime.py'
]
custom_imports = dict(imports=['mmseg_uda'], allow_failed_imports=False)
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(
        _delete_=True,
        type='SelfAttentionHead',
        self_attention=dict(type='SelfAttentionModule', kernel_size=1),
        classifier=_base_.model.decode_head))
