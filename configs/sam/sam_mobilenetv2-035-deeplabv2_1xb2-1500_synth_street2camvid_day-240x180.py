# A generation of stage B.
_base_ = ['../self_training/self-training_mobilenetv2-035-deeplabv2_1xb2-1500_synth_street2camvid_day-240x180.py']
model = dict(
    regularizers=dict(
        sam=dict(
            type='SelfAttentionLoss',
            self_attention=dict(type='SelfAttentionModule', in_channels=19),
            checkpoint='work_dirs/sam_mobilenetv2-035-deeplabv2_1xb2-1500_synth_street2camvid_day-240x180_attention/'
            'iter_1500.pth',
            # (8) and (10) with the weight of FCN-8s. At this learning rate a weight of 0.1 brings
            # scores to several hundred after 200 iterations. (9) pulls scores together, but does
            # not help here.
            form='residual',
            domains=('source', 'target'),
            loss_weight=0.001)))
