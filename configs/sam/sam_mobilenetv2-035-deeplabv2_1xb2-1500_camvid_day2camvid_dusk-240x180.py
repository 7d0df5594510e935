# A generation of stage B.
_base_ = [
    '../_base_/models/deeplabv2_mobilenetv2-035.py',
    '../_base_/datasets/camvid_day2camvid_dusk_pseudo.py', '../_base_/schedules/sgd_small.py',
    '../_base_/small_runtime.py'
]
model = dict(
    _delete_=True,
    type='SelfTraining',
    segmentor=dict(
        _base_.model,
        # Running statistics, used at test time, over about 200 images instead of 20.
        backbone=dict(_base_.model.backbone, norm_cfg=dict(type='BN', momentum=0.01))),
    regularizers=dict(
        sam=dict(
            type='SelfAttentionLoss',
            self_attention=dict(type='SelfAttentionModule', in_channels=19),
            checkpoint='work_dirs/sam_mobilenetv2-035-deeplabv2_1xb2-1500_camvid_day2camvid_dusk-'
            '240x180_attention/iter_1500.pth',
            # (8) and (10) with the weight of FCN-8s. At this learning rate a weight of 0.1 brings
            # scores to several hundred after 200 iterations. (9) pulls scores together, but does
            # not help here.
            form='residual',
            domains=('source', 'target'),
            loss_weight=0.001)),
    norm_statistics='target',
    channels_last=True)
# Two cross entropies add up, hence a smaller rate for the classifier and clipped gradients.
optim_wrapper = dict(
    optimizers=dict(
        _delete_=True,
        student=dict(
            _base_.optim_wrapper.optimizers.student,
            clip_grad=dict(max_norm=10.),
            paramwise_cfg=dict(custom_keys={'decode_head': dict(lr_mult=4.)}))))
