# SAM's self-attention for ProDA with SAM, on the source. Not trained by us.
_base_ = [
    '../_base_/models/deeplabv2gn_r101.py', '../_base_/datasets/synthia2cityscapes_896x512.py',
    '../_base_/schedules/sgd_62k_proda.py', '../_base_/default_runtime.py'
]
model = dict(
    _delete_=True,
    type='SourceOnly',
    segmentor=dict(
        _base_.model,
        decode_head=dict(
            type='SelfAttentionHead',
            self_attention=dict(type='SelfAttentionModule', kernel_size=1),
            attend='logits',
            skip=True,
            classifier=_base_.model.decode_head)))
optim_wrapper = dict(optimizers=dict(student=dict(optimizer=dict(lr=2.5e-4))))
