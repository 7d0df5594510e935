# On prediction and feature map: 50.2 mIoU in the paper (Table A.5); not trained by us.
_base_ = ['./sam_r101-deeplabv2_1xb1-120k_gta2cityscapes-1280x720.py']
model = dict(
    regularizers=dict(
        sam_features=dict(
            type='SelfAttentionLoss',
            self_attention=dict(type='SelfAttentionModule', in_channels=2048, kernel_size=1),
            checkpoint='work_dirs/sam_r101-deeplabv2_1xb1-120k_gta2cityscapes-1280x720_'
            'attention-features/iter_120000.pth',
            form='residual',
            loss_type='l1',
            layer='features',
            domains=('source', 'target'),
            loss_weight=0.1)))  # our choice: the same lambda
