# The small network with a second classifier on layer5, which inference does not use.
_base_ = ['./deeplabv2_mobilenetv2-035.py']
model = dict(
    auxiliary_head=dict(
        type='DeepLabV2Head',
        in_channels=32,
        in_index=2,
        num_classes=19,
        dilations=(6, 12, 18, 24),
        aspp_branches=4,
        align_corners=True,
        loss_decode=dict(type='PixelCrossEntropyLoss', loss_weight=0.1)))
