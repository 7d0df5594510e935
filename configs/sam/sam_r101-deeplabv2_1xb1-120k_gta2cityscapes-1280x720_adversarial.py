# Mixing: one entry adds SAM's loss to output-space adversarial training. Not in the paper; not
# trained by us.
_base_ = ['../adversarial/adversarial_r101-deeplabv2_1xb1-120k_gta2cityscapes-1280x720.py']
model = dict(
    regularizers=dict(
        sam=dict(
            type='SelfAttentionLoss',
            self_attention=dict(type='SelfAttentionModule', in_channels=19, kernel_size=1),
            checkpoint='work_dirs/sam_r101-deeplabv2_1xb1-120k_gta2cityscapes-1280x720_'
            'attention/iter_120000.pth',
            form='residual',
            domains=('source', 'target'),
            loss_weight=0.1)))
