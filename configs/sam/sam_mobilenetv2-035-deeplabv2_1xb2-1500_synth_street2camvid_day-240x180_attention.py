# Stage A: the self-attention is trained on the source.
_base_ = [
    '../_base_/models/deeplabv2_mobilenetv2-035.py', '../_base_/datasets/synth_street2camvid_day.py',
    '../_base_/schedules/sgd_small.py', '../_base_/small_runtime.py'
]
model = dict(
    _delete_=True,
    type='SourceOnly',
    segmentor=dict(
        _base_.model,
        decode_head=dict(
            type='SelfAttentionHead',
            self_attention=dict(type='SelfAttentionModule'),
            # With a skip connection, scores that fit the source leave nothing to learn here.
            skip=False,
            classifier=_base_.model.decode_head)),
    channels_last=True)
# The gradients of scores and attention add up, hence a smaller rate and clipped gradients.
optim_wrapper = dict(
    optimizers=dict(
        _delete_=True,
        student=dict(
            _base_.optim_wrapper.optimizers.student,
            clip_grad=dict(max_norm=10.),
            paramwise_cfg=dict(custom_keys={'decode_head': dict(lr_mult=2.)}))))
