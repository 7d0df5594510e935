# As deeplabv2_r101_caffe.py, with the file of DACS's and CAMix' code, whose names have no prefix. It
# is pretrained on ImageNet and MSCOCO, too. If its address is gone, set backbone.init_cfg.checkpoint
# to a copy.
_base_ = ['./deeplabv2_r101_caffe.py']
model = dict(
    backbone=dict(
        init_cfg=dict(
            _delete_=True,
            type='Pretrained',
            checkpoint='http://vllab1.ucmerced.edu/~whung/adv-semi-seg/resnet101COCO-41f33a49.pth')))
