# The small network at width 0.35, a fifth of the arithmetic, for the small real pairs on a CPU.
# No URL serves its ImageNet weights as a PyTorch file. Keras Applications publishes them as
# mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5. Convert that file to
# MMSegmentation's names (conv1, layer{1..7}.{i}.conv.{j}) and set MOBILENETV2_035 to the path of
# the result, or start from scratch with backbone.init_cfg=None.
_base_ = ['./deeplabv2_mobilenetv2.py']
model = dict(
    backbone=dict(
        widen_factor=0.35,
        init_cfg=dict(
            checkpoint='{{$MOBILENETV2_035:checkpoints/mobilenetv2_035_imagenet.pth}}')),
    decode_head=dict(in_channels=112))
