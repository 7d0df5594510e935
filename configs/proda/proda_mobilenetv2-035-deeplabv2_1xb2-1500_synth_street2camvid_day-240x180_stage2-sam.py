# The last of two stages with the loss of SAM, as in the file that ends in _stage3-sam of ResNet-101.
_base_ = ['./proda_mobilenetv2-035-deeplabv2_1xb2-1500_synth_street2camvid_day-240x180_stage2.py']
model = dict(
    regularizers=dict(
        sam=dict(
            type='SelfAttentionLoss',
            self_attention=dict(type='SelfAttentionModule', in_channels=19),
            checkpoint='work_dirs/sam_mobilenetv2-035-deeplabv2_1xb2-1500_synth_street2camvid_day-240x180_attention/iter_1500.pth',
            form='residual',
            domains=('source', 'strong'),
            loss_weight=0.001)))
