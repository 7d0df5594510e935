# Stage B of SAM, as in ../../sam.
_base_ = ['./self_training.py']
model = dict(
    regularizers=dict(
        sam=dict(
            type='SelfAttentionLoss',
            self_attention=dict(type='SelfAttentionModule', in_channels=19),
            checkpoint='work_dirs/sam_attention/iter_2000.pth',
            form='residual',
            domains=('source', 'target'),
            loss_weight=0.001)))
