# MinEnt, which ADVENT combines with AdvEnt: 48.0 mIoU over 13 classes, 41.2 over 16, of both
# networks' mean logits (as in PIT, Table 2). Not trained by us.
_base_ = ['../adversarial/adversarial_r101-deeplabv2_1xb1-150k_synthia2cityscapes-1280x760_multi.py']
model = dict(
    _delete_=True,
    type='MinEnt',
    segmentor=_base_.model.segmentor,
    lambda_ent=0.001,  # Sec. 4.2
    auxiliary_weight=0.2)  # 0.0002 in the published code
optim_wrapper = dict(
    optimizers=dict(_delete_=True, student=_base_.optim_wrapper.optimizers.student))
train_cfg = dict(max_iters=120000)
