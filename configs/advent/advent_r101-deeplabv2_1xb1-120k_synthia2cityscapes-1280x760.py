# AdvEnt, which its paper combines with MinEnt: 48.0 mIoU over 13 classes, 41.2 over 16, of both
# networks' mean logits (as in PIT, Table 2). Not trained by us.
_base_ = ['../adversarial/adversarial_r101-deeplabv2_1xb1-150k_synthia2cityscapes-1280x760_multi.py']
model = dict(align='self_information')  # Eq. (1), per class
train_cfg = dict(max_iters=120000)
