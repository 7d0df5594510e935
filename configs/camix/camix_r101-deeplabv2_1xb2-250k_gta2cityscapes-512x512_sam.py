# Mixing: CAMix with SAM's loss on the scores of source and mixed images. The self-attention comes
# from SAM's stage A, ../sam/sam_r101-deeplabv2_1xb1-120k_gta2cityscapes-1280x720_attention.py.
# Not in a paper, not trained by us.
_base_ = ['./camix_r101-deeplabv2_1xb2-250k_gta2cityscapes-512x512.py']
model = dict(
    regularizers=dict(
        sam=dict(
            type='SelfAttentionLoss',
            self_attention=dict(type='SelfAttentionModule', in_channels=19, kernel_size=1),
            checkpoint='work_dirs/sam_r101-deeplabv2_1xb1-120k_gta2cityscapes-1280x720_'
            'attention/iter_120000.pth',
            form='residual',
            domains=('source', 'mix'),
            loss_weight=0.1)))
