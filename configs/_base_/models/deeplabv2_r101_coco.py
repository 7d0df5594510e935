# As deeplabv2_r101.py, with weights pretrained on ImageNet and MSCOCO. Their input is Caffe's: BGR
# images less a mean, without division. The code of DACS and of CAMix uses this file. If its address
# is gone, set backbone.init_cfg.checkpoint to a copy.
_base_ = ['./deeplabv2_r101.py']
model = dict(
    data_preprocessor=dict(
        mean=[104.00698793, 116.66876762, 122.67891434], std=[1., 1., 1.], bgr_to_rgb=False),
    backbone=dict(
        init_cfg=dict(
            checkpoint='http://vllab1.ucmerced.edu/~whung/adv-semi-seg/resnet101COCO-41f33a49.pth'))
)
