# Mixing: CAMix with PIT's expansion units as an auxiliary head. The units are trained on the
# source's image-level labels (PIT's L_c). Not in a paper, not trained by us.
_base_ = ['./camix_r101-deeplabv2_1xb2-250k_gta2cityscapes-512x512.py']
model = dict(
    segmentor=dict(
        auxiliary_head=dict(
            type='LSEExpansionHead',
            unit={{_base_.model.segmentor.decode_head}},
            r=(0.5, 1., 1.5),
            loss_decode=dict(type='ImageLabelLoss', loss_weight=0.5))))
optim_wrapper = dict(
    optimizers=dict(
        student=dict(paramwise_cfg=dict(custom_keys=dict(auxiliary_head=dict(lr_mult=10.))))))
