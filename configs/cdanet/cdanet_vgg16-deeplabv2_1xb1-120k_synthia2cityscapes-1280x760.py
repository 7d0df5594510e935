# 40.8 mIoU over 16 classes in the paper (Table 2); not trained by us.
# tools/generate_pseudo_labels.py makes the pseudo labels, by rule `bdl` and with the model of
# configs/adversarial. The paper translates its source images to the target's style by CycleGAN;
# ../_base_/datasets/gta2cityscapes.py says how to use such images.
# Our choice: 120k iterations and one image per domain, as in BDL. The paper gives neither.
_base_ = [
    '../_base_/models/deeplabv2_vgg16_caffe.py', '../_base_/datasets/synthia2cityscapes_pseudo.py',
    '../_base_/schedules/adam_120k_cdanet.py', '../_base_/default_runtime.py'
]
model = dict(
    _delete_=True,
    type='CDANet',
    segmentor=dict(
        _base_.model,
        decode_head=dict(
            type='CrossDomainAttentionHead',
            in_channels=1024,
            spatial_weight=1.0,  # lambda_s = lambda_t, Sec. 4.6
            channel_weight=1.0,  # xi_s = xi_t, Sec. 4.6
            reduction=8,  # 128 channels of queries and keys, Sec. 4.2
            kernel_size=1,  # our choice: not in the paper; DANet has 3
            test_context='self',  # our choice: the paper does not say what a test image attends to
            classifier=_base_.model.decode_head)),
    discriminator=dict(type='FCDiscriminator', in_channels=19),  # one per view, Sec. 4.2
    adversarial_loss=dict(type='AdversarialLoss', loss_weight=0.001))  # our choice: BDL's lambda
