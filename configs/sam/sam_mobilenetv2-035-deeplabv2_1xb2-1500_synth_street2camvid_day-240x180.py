# A generation of stage B.
_base_ = ['../self_training/self-training_mobilenetv2-035-deeplabv2_1xb2-1500_synth_street2camvid_day-240x180.py']
model = dict(
    regularizers=dict(
        sam=dict(
            type='SelfAttentionLoss',
            self_attention=dict(type='SelfAttentionModule', in_channels=19),
            checkpoint='work_dirs/sam_mobilenetv2-035-deeplabv2_1xb2-1500_synth_street2camvid_day-240x180_attention/'
            'iter_1500.pth',
            # (9) and (11), as for SYNTHIA: at this rate (8), which pushes every score outwards, has
            # them at several hundred after 150 iterations.
            form='attended',
            domains=('target', ),
            loss_weight=0.1)))
