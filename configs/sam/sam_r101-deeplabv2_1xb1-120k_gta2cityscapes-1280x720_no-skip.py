# No skip-connection in stage A: 49.7 mIoU in the paper (Table 1); not trained by us.
_base_ = ['./sam_r101-deeplabv2_1xb1-120k_gta2cityscapes-1280x720.py']
model = dict(
    regularizers=dict(
        sam=dict(
            checkpoint='work_dirs/sam_r101-deeplabv2_1xb1-120k_gta2cityscapes-1280x720_'
            'attention-no-skip/iter_120000.pth')))
