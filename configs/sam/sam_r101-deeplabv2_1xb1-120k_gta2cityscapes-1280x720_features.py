# On the feature map: 50.4 mIoU in the paper (Table A.5); not trained by us.
_base_ = ['./sam_r101-deeplabv2_1xb1-120k_gta2cityscapes-1280x720.py']
model = dict(
    regularizers=dict(
        sam=dict(
            layer='features',
            self_attention=dict(in_channels=2048),
            checkpoint='work_dirs/sam_r101-deeplabv2_1xb1-120k_gta2cityscapes-1280x720_'
            'attention-features/iter_120000.pth')))
