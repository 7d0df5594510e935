# The small network at width 0.35, a fifth of the arithmetic, for the small real pairs on a CPU.
# ImageNet weights: no URL serves them as a PyTorch file. Keras Applications publishes
# mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5; convert it to MMSegmentation's
# names (conv1, layer{1..7}.{i}.conv.{j}) and name the file in MOBILENETV2_035, or set
# backbone.init_cfg=None to start from scratch.
_base_ = ['./deeplabv2_mobilenetv2.py']
model = dict(
    backbone=dict(
        widen_factor=0.35,
        init_cfg=dict(
            checkpoint='{{$MOBILENETV2_035:checkpoints/mobilenetv2_035_imagenet.pth}}')),
    decode_head=dict(in_channels=112))
