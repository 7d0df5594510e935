# Stages 2 and 3 of ProDA: a new network, whose classifier begins with a batch norm, learns from that
# of stage 1. The backbone starts from SimCLRv2 (r101_1x_sk0), whose weights Google publishes for
# TensorFlow. configs/proda/README.md says how to convert them; SIMCLR_R101 is the file. Or start from
# ImageNet:
#   --cfg-options model.segmentor.backbone.init_cfg.checkpoint=\
#       https://download.pytorch.org/models/resnet101-63fe2227.pth
_base_ = ['./deeplabv2gn_r101.py']
model = dict(
    _delete_=True,
    type='Distillation',
    segmentor=dict(
        _base_.model,
        backbone=dict(
            _base_.model.backbone,
            init_cfg=dict(
                type='Pretrained', checkpoint='{{$SIMCLR_R101:checkpoints/simclr_r101_1x_sk0.pth}}')),
        decode_head=dict(_base_.model.decode_head, input_norm=True)),
    fixed_teacher=dict(type='FixedTeacher', segmentor=_base_.model),
    weak_view=dict(type='RandomView', size=(512, 896), ratio=(0.537, 1.611)),  # 1100 to 3300 of 2048
    strong_view=dict(type='RandAugment', number=2, magnitude=10, cutout=1 / 3),
    lambda_kd=1.0)
